"""The verifier of texts: the probability that a text is right, from its writer's confidence and its candidates' votes.

Two logistic regressions, one of a candidate by itself and one with the share of others that agree with it, fitted to
candidates whose verdict is known. It only ranks; no promise rests on it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from tolerate.base.arrays import Bools, Floats, Ints
from tolerate.base.json_types import JsonObject

RIDGE = 1.0  # of the weights, in units of one observation


@dataclass(frozen=True)
class Verifier:
    """Weights of the two regressions: a constant and one for each feature."""

    single: tuple[float, ...]
    agreed: tuple[float, ...]

    def single_scores(self, means: Floats, least: Floats) -> Floats:
        """Probability that a text is right, by the log-probabilities of its tokens."""
        return _probability(self.single, features(means, least))

    def vote_scores(self, means: Floats, least: Floats, share: Floats) -> Floats:
        """The same where the share of candidates that agree is known."""
        return _probability(self.agreed, [*features(means, least), share])

    def to_json(self) -> JsonObject:
        """The weights."""
        return {"single": list(self.single), "agreed": list(self.agreed)}

    @classmethod
    def from_json(cls, record: dict[str, list[float]]) -> "Verifier":
        """The verifier that `to_json` wrote."""
        return cls(tuple(record["single"]), tuple(record["agreed"]))


def features(means: Floats, least: Floats) -> list[Floats]:
    """The features of a candidate: probability of a typical and of the least likely token, and the mean logarithm."""
    return [np.exp(means), np.exp(least), np.maximum(means, -8.0)]


def fit_verifier(means: Floats, least: Floats, meanings: Ints, wrong: Bools) -> Verifier:
    """Fit both regressions to candidates [requests, k] whose verdict is known."""
    share = (meanings[:, :, None] == meanings[:, None, :]).mean(2)
    right = ~wrong.ravel()
    columns = [feature.ravel() for feature in features(means, least)]
    return Verifier(_fit(columns, right), _fit([*columns, share.ravel()], right))


def _probability(weights: tuple[float, ...], columns: list[Floats]) -> Floats:
    logit = weights[0] + sum(w * column for w, column in zip(weights[1:], columns, strict=True))
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -40, 40))), dtype=np.float64)


def _fit(columns: list[Floats], right: Bools) -> tuple[float, ...]:
    """Weights of greatest likelihood with a ridge penalty; features are standardized first."""
    x = np.stack(columns, 1)
    middle, spread = x.mean(0), x.std(0) + 1e-9
    design = np.c_[np.ones(len(x)), (x - middle) / spread]
    sign = np.where(right, 1.0, -1.0)

    def cost(w: Floats) -> tuple[float, Floats]:
        margin = sign * (design @ w)
        slope = -sign / (1 + np.exp(np.clip(margin, -40, 40)))
        ridge = np.r_[0.01, np.full(len(w) - 1, RIDGE)]
        return float(
            np.logaddexp(0, -margin).sum() + 0.5 * (ridge * w * w).sum()
        ), design.T @ slope + ridge * w

    w = minimize(cost, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x
    slopes = w[1:] / spread
    return (float(w[0] - (slopes * middle).sum()), *(float(s) for s in slopes))
