"""Draw the digit that was asked for, learned from MNIST's 70,000 pictures of 28x28 pixels."""

from tolerate.jobs.pictures.digits import MODELS, PRICES, REFINE, TOLERANCES
from tolerate.records import Job

JOB = Job(
    name="mnist",
    title={"en": "Draw a digit on request (MNIST)", "zh": "按要求画一个数字(MNIST)"},
    workshop="tolerate.jobs.pictures.workshop:mnist",
    tolerance=0.02,
    confidence=0.95,
    tolerances=TOLERANCES,
    models=MODELS,
    refine=REFINE,
    labels=4000,
    proof=3000,
    prices=PRICES,
    example="tolerate run mnist --data MNIST --budget 60s",
)
