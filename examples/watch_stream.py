"""Watch a certificate that is in use: review a random share of what is released, and withdraw it on evidence."""

import numpy as np

import tolerate as tol

rng = np.random.default_rng(0)

# The certificate: made from arrays, without a file. A Table holds labelled items, one a row.
scores = rng.random(3000)
table = tol.Table(losses=(rng.random(3000) > scores**0.1).astype(float), scores=scores)
certificate = tol.certify(table, tolerance=0.05, confidence=0.95)
print(certificate)

# In use: a person reviews 1 in 20 of the released answers. After 20,000 answers a worse model takes over.
watch = tol.Watch(certificate)
for answer in range(40_000):
    share_wrong = 0.02 if answer < 20_000 else 0.15
    if rng.random() < 0.05:
        watch.update(loss=float(rng.random() < share_wrong))
    if watch.alarm:
        print(f"answer {answer:,}: {watch.alarm}")
        break

print("still proven:", watch.certificate is not None and watch.certificate.proven)
