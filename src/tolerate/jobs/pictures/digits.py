"""Draw the digit that was asked for, learned from 1,797 real handwritten ones of 8x8 pixels."""

from tolerate.records import Job, Prices

TOLERANCES = (0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001)
MODELS = ("gan", "dcgan", "wgan-gp", "r3gan", "vae", "cvae", "vae-mixture", "flow", "latent-flow")
REFINE = ("plain", "best-of-4", "best-of-4+no-copies")

PRICES = Prices.per_million(review_seconds=10, dollars_an_hour=18)

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
