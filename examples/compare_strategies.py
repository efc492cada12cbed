"""Compare a small model, a large model and a cascade of both, and take the cheapest that is proven to be safe."""

import numpy as np

import tolerate as tol

ITEMS = 4000
COST = {"small": 1.0, "large": 10.0}  # cents an answer
REVIEW = 50.0  # cents for a person who checks and corrects one answer

# Both models answered the same requests. The small one is often wrong where it is unsure; the large one hardly ever is.
rng = np.random.default_rng(0)
confidence = rng.random(ITEMS)
losses = {"small": rng.random(ITEMS) > confidence**0.2, "large": rng.random(ITEMS) < 0.02}
scores = {"small": confidence, "large": np.ones(ITEMS)}

# All promises hold together with 95% confidence, so that the cheapest may be chosen after looking at them.
ranking = tol.compare(
    losses=losses,
    scores=scores,
    costs=COST,
    cascades=[("small", "large")],
    tolerance=0.05,
    confidence=0.95,
    review=REVIEW,
)
for row in ranking:
    print(
        f"{row.name:15} {row.cost:6.2f} cents an accepted answer, {row.certificate.coverage:.0%} without a person"
    )

best = ranking[0].certificate
print("the cheapest:", ranking[0].name)
print("the small model is sure (0.95):", best.decide(0.95))
print("the small model is unsure (0.10):", best.decide(0.10))
