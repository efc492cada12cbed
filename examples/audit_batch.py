"""Audit a finished batch: label as few items as possible until it is proven to be good enough, or cannot be."""

import numpy as np

import tolerate as tol

ITEMS = 10_000

# The truth, which nobody knows yet: 0.5% of the batch is wrong.
rng = np.random.default_rng(0)
truly_wrong = set(rng.choice(ITEMS, size=50, replace=False).tolist())


def ask_a_person(item: int) -> float:
    """Return the loss of one item, 0 (fine) or 1 (wrong); here an oracle answers instead of a person."""
    return float(item in truly_wrong)


# The seed fixes the order of the items for this example. Leave it out in real use: the order is then drawn secretly.
audit = tol.Audit(items=ITEMS, tolerance=0.02, confidence=0.95, seed=1)
while audit.open:
    item = audit.next()
    audit.record(item, loss=ask_a_person(item))

print(audit.certificate)
print(f"labels used: {audit.labels} of {ITEMS:,}")
