"""What the words of a task tell: how physical, how interpersonal, how much experts would leave to people.

Learned from experts' ratings of single tasks (WORKBank), with intervals: one expert agrees with another no better
than a quadratic kappa of .45, and the words agree with an expert less than that.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tolerate.careers.atlas import Figure
from tolerate.careers.estimate import margin
from tolerate.careers.onet import Gathered
from tolerate.careers.text import counts, left_out, ridge, tokens, weighted
from tolerate.records import Floats

RATINGS = {
    "physical": "Physical Action Requirement",
    "personal": "Interpersonal Communication Requirement",
    "agency": "Human Agency Scale Rating",
}
KEEP = 3.5  # on the human agency scale: from here on experts keep a task mostly human


def rated(it: Gathered, experts: Sequence[Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Ratings of every task of a release, by its id; nothing without experts to learn from."""
    seen = _means(experts)
    every = [(number, text) for tasks in it.tasks.values() for number, text, _ in tasks]
    taught = [k for k, (number, _) in enumerate(every) if number in seen]
    if len(taught) < 60:
        return {}
    words = np.asarray(_words([text for _, text in every], taught))
    ids = [every[k][0] for k in taught]
    targets = np.array([[seen[n][name] for name in RATINGS] for n in ids])
    groups = np.array([seen[n]["occupation"] for n in ids])
    out = left_out(_fit, words[taught], targets, groups)
    wide = [margin(np.abs(targets[:, j] - out[:, j]), 0.9) for j in range(len(RATINGS))]
    guess = np.clip(_fit(words[taught], targets, words), 1, 5)
    keep = _chances(out[:, 2], targets[:, 2] >= KEEP, guess[:, 2])
    return {
        number: {
            **{
                name: Figure(
                    round(float(guess[k, j]), 2),
                    round(float(max(1.0, guess[k, j] - wide[j])), 2),
                    round(float(min(5.0, guess[k, j] + wide[j])), 2),
                    True,
                )
                for j, name in enumerate(RATINGS)
            },
            "keep": round(float(keep[k]), 3),
        }
        for k, (number, _) in enumerate(every)
    }


def _fit(train: Floats, targets: Floats, new: Floats) -> Floats:
    return ridge(train, targets, penalty=2.0)(new)


def _words(texts: list[str], taught: Sequence[int]) -> Floats:
    """[tasks, words] of the words that the rated tasks use."""
    table, _ = counts([tokens(text) for text in texts], least=3)
    rows = weighted(table)
    used = np.asarray((rows[list(taught)] != 0).sum(0)).ravel() >= 2
    return np.asarray(rows[:, used].todense())


def _means(experts: Sequence[Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    by: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in experts:
        by[row["Task ID"]].append(row)
    return {
        task: {
            **{
                name: float(np.mean([float(row[column]) for row in rows])) for name, column in RATINGS.items()
            },
            "occupation": rows[0]["Occupation (O*NET-SOC Title)"],
        }
        for task, rows in by.items()
    }


def _chances(scores: Floats, happened: Any, new: Floats) -> Floats:
    """Chance of an event by its score: a logistic line through scores of rows left out of the fit."""
    from scipy.optimize import minimize

    centre, spread = scores.mean(), max(float(scores.std()), 1e-9)
    x, y = (scores - centre) / spread, np.asarray(happened, float)

    def loss(at: Floats) -> float:
        z = at[0] + at[1] * x
        return float(np.logaddexp(0, z).sum() - (y * z).sum() + 0.5 * at[1] ** 2)

    a, b = minimize(loss, np.zeros(2)).x
    return np.asarray(1 / (1 + np.exp(-(a + b * (new - centre) / spread))))
