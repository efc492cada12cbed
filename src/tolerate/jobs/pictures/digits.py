"""Draw the digit that was asked for, learned from 1,797 real handwritten ones of 8x8 pixels."""

from tolerate.records import Job, Prices

TOLERANCES = (0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001)
MODELS = ("gan", "dcgan", "wgan-gp", "r3gan", "vae", "cvae", "vae-mixture", "flow", "latent-flow")
REFINE = ("plain", "best-of-4", "best-of-4+no-copies")

# In dollars for a million accepted items: a core at 4 cents an hour; a person who looks at a drawing for ten
# seconds at 18 dollars an hour.
PRICES = Prices(compute=1e6 * 0.04 / 3600, review=1e6 * 10 * 18 / 3600, unit="$/million")

JOB = Job(
    name="digits",
    title={"en": "Draw a digit on request", "zh": "按要求画一个数字"},
    workshop="tolerate.jobs.pictures.workshop:digits",
    tolerance=0.01,
    confidence=0.95,
    tolerances=TOLERANCES,
    models=MODELS,
    refine=REFINE,
    labels=4000,
    proof=3000,
    prices=PRICES,
    needs_data=False,
    example="tolerate run digits",
)
