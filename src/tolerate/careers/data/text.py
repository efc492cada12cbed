"""Words as sparse vectors: tokens cut to their stems, weighted by how rare they are; and a ridge on top of them.

NumPy and SciPy alone, so that an import works in the base install.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tolerate.records import Floats

_WORD = re.compile(r"[a-z][a-z+#.-]*[a-z+#]|[a-z]")
STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "being",
        "by",
        "can",
        "etc",
        "for",
        "from",
        "has",
        "have",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "not",
        "of",
        "on",
        "or",
        "other",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "these",
        "they",
        "this",
        "those",
        "to",
        "use",
        "used",
        "using",
        "was",
        "were",
        "when",
        "where",
        "which",
        "while",
        "who",
        "will",
        "with",
    ]
)
_ENDS = (
    "ization",
    "isation",
    "ations",
    "ation",
    "ments",
    "ment",
    "ness",
    "ings",
    "ing",
    "ities",
    "ity",
    "ers",
    "er",
)
_MORE = ("ors", "or", "ists", "ist", "ies", "ied", "ed", "es", "ly", "s", "e", "y")


@cache
def stem(word: str) -> str:
    """A word without its common ending; crude, and the same for all its forms that matter here.

    >>> [stem(word) for word in ("translate", "translators", "translating", "translation")]
    ['translat', 'translat', 'translat', 'transl']
    """
    for ending in (*_ENDS, *_MORE):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def tokens(text: str, pairs: bool = False) -> list[str]:
    """The stems of a text in order, without the commonest words; with `pairs`, neighbours too."""
    words = [stem(word) for word in _WORD.findall(text.lower()) if word not in STOP]
    return with_pairs(words) if pairs else words


def with_pairs(words: list[str]) -> list[str]:
    """Words, and after them each with its neighbour."""
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def counts(bags: Sequence[Iterable[str]], least: int = 1) -> tuple[sparse.csr_matrix, list[str]]:
    """[texts, words] counts of bags of words, and the words in order; those in fewer than `least` bags are left out.

    >>> counts([["b", "a", "b"], ["b"]])[0].toarray().tolist(), counts([["b", "a", "b"], ["b"]], least=2)[1]
    ([[1.0, 2.0], [0.0, 1.0]], ['b'])
    """
    place: dict[str, int] = {}
    columns = [[place.setdefault(word, len(place)) for word in bag] for bag in bags]
    sizes = [len(row) for row in columns]
    flat = np.fromiter(chain.from_iterable(columns), np.int64, sum(sizes))
    table = sparse.csr_matrix(
        (np.ones(len(flat)), (np.repeat(np.arange(len(sizes)), sizes), flat)), shape=(len(sizes), len(place))
    )
    table.sum_duplicates()
    inside = np.bincount(table.indices, minlength=len(place))
    words = sorted(word for word, k in place.items() if inside[k] >= least)
    kept = table[:, [place[word] for word in words]]
    kept.sort_indices()
    return kept, words


def weighted(table: sparse.csr_matrix) -> sparse.csr_matrix:
    """Log counts times log rarity, each row of length 1 (or 0)."""
    table = table.tocsr(copy=True)
    table.data = 1 + np.log(table.data)
    inside = np.bincount(table.indices, minlength=table.shape[1])
    return unit(table @ sparse.diags(np.log((1 + table.shape[0]) / (1 + inside)) + 0.1))


def unit(table: Any) -> Any:
    """Rows of length 1; rows of nothing stay so."""
    if sparse.issparse(table):
        length = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
        return sparse.diags(1 / np.maximum(length, 1e-12)) @ table
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)


def latent(rows: Any, size: int) -> Floats:
    """[texts, size] coordinates of texts along the strongest directions of their words."""
    from scipy.sparse.linalg import svds

    left, strength, _ = svds(rows, k=size, rng=np.random.default_rng(0))
    return np.asarray(left * strength)


@dataclass(frozen=True)
class Ridge:
    """A linear prediction."""

    weights: Floats  # [features, targets]
    centre: Floats  # [features]
    mean: Floats  # [targets]

    def __call__(self, features: Floats) -> Floats:
        """[rows, targets] predictions."""
        return np.asarray(self.mean + (features - self.centre) @ self.weights)


def ridge(features: Floats, targets: Floats, penalty: float) -> Ridge:
    """Least squares with a penalty on the weights, through the smaller of the two systems."""
    centre, mean = features.mean(0), targets.mean(0)
    x, y = features - centre, targets - mean
    if len(x) <= x.shape[1]:
        weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
    else:
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return Ridge(weights, centre, mean)


Fit = Callable[[Floats, Floats, Floats], Floats]  # features, targets, new features -> predictions


def left_out(fit: Fit, features: Floats, targets: Floats, groups: NDArray[Any], folds: int = 10) -> Floats:
    """Predictions of each row by a fit that saw no row of its group."""
    kinds, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(kinds))[group] % folds
    found = np.full(targets.shape, np.nan)
    for k in range(min(folds, len(kinds))):
        inside = fold != k
        if (~inside).any():
            found[~inside] = fit(features[inside], targets[inside], features[~inside])
    return found
