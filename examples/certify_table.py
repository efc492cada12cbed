"""Certify a table of labelled answers, use the certificate on new answers, and verify it again from the table."""

import tempfile
from pathlib import Path

import numpy as np

import tolerate as tol

# 2,000 answers, two to a question: `wrong` is the label of a person, `confidence` what the model said of itself.
rng = np.random.default_rng(0)
lines = ["question,confidence,wrong"]
for question in range(1000):
    for confidence in rng.random(2):
        lines.append(f"q{question},{confidence:.4f},{int(rng.random() > confidence**0.1)}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "answers.csv"
    path.write_text("\n".join(lines) + "\n")

    # Answers to one question are not independent, so the question is the cluster.
    table = tol.read(path, loss="wrong", score="confidence", cluster="question")
    certificate = tol.certify(table, tolerance=0.05, confidence=0.95)
    print(certificate)

    for confidence in (0.99, 0.30):
        print(f"an answer with confidence {confidence:.2f}: {certificate.decide(confidence)}")

    # Anybody who has the table can recompute the certificate.
    print("verified:", tol.verify(certificate, table).holds)
