"""Draw a picture of the class that was asked for, learned from a folder of labelled pictures."""

from tolerate.jobs.pictures.digits import PRICES, REFINE, TOLERANCES
from tolerate.records import Job

JOB = Job(
    name="pictures",
    title={"en": "Draw a picture of a class on request", "zh": "按要求画某一类的图"},
    workshop="tolerate.jobs.pictures.workshop:pictures",
    tolerance=0.05,
    confidence=0.95,
    tolerances=TOLERANCES,
    models=("cvae", "vae-mixture", "latent-flow", "r3gan"),
    refine=REFINE,
    labels=3000,
    proof=2000,
    prices=PRICES,
    example="tolerate run pictures --data FOLDER",
)
