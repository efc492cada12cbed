"""Texts as sparse vectors of word stems weighted by their rarity (TF-IDF), and ridge regression on them.

NumPy and SciPy alone, so that an import works in the base install.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tolerate.records import Floats

_WORD = re.compile(r"[a-z][a-z+#.-]*[a-z+#]|[a-z]")
STOP_WORDS = frozenset(
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
_LONG_ENDINGS = (
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
_SHORT_ENDINGS = ("ors", "or", "ists", "ist", "ies", "ied", "ed", "es", "ly", "s", "e", "y")


@cache
def stem(word: str) -> str:
    """A word without its ending: a crude stemmer that joins most forms of the words in task statements.

    >>> [stem(word) for word in ("translate", "translators", "translating", "translation")]
    ['translat', 'translat', 'translat', 'transl']
    """
    for ending in (*_LONG_ENDINGS, *_SHORT_ENDINGS):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def tokens(text: str, bigrams: bool = False) -> list[str]:
    """The stems of a text in order, without stop words; with `bigrams`, pairs of neighbours too."""
    words = [stem(word) for word in _WORD.findall(text.lower()) if word not in STOP_WORDS]
    return with_bigrams(words) if bigrams else words


def with_bigrams(words: list[str]) -> list[str]:
    """The words, followed by the pairs of neighbours."""
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def count_words(bags: Sequence[Iterable[str]], min_bags: int = 1) -> tuple[sparse.csr_matrix, list[str]]:
    """[texts, words] counts of bags of words, and the words in order, without those in fewer than `min_bags` bags.

    >>> bags = [["b", "a", "b"], ["b"]]
    >>> count_words(bags)[0].toarray().tolist(), count_words(bags, min_bags=2)[1]
    ([[1.0, 2.0], [0.0, 1.0]], ['b'])
    """
    column_of: dict[str, int] = {}
    columns = [[column_of.setdefault(word, len(column_of)) for word in bag] for bag in bags]
    sizes = [len(row) for row in columns]
    flat = np.fromiter(chain.from_iterable(columns), np.int64, sum(sizes))
    table = sparse.csr_matrix(
        (np.ones(len(flat)), (np.repeat(np.arange(len(sizes)), sizes), flat)),
        shape=(len(sizes), len(column_of)),
    )
    table.sum_duplicates()
    bag_counts = np.bincount(table.indices, minlength=len(column_of))
    words = sorted(word for word, k in column_of.items() if bag_counts[k] >= min_bags)
    counts = table[:, [column_of[word] for word in words]]
    counts.sort_indices()
    return counts, words


def tf_idf(table: sparse.csr_matrix) -> sparse.csr_matrix:
    """Log counts times log inverse document frequency, each row of length 1 (or 0)."""
    table = table.tocsr(copy=True)
    table.data = 1 + np.log(table.data)
    bag_counts = np.bincount(table.indices, minlength=table.shape[1])
    return _normalize_sparse_rows(table @ sparse.diags(np.log((1 + table.shape[0]) / (1 + bag_counts)) + 0.1))


def normalize_rows(table: Floats) -> Floats:
    """The rows scaled to length 1; rows of zeros stay zero."""
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12))


def _normalize_sparse_rows(table: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-12)) @ table


def latent_coordinates(rows: sparse.csr_matrix, size: int) -> Floats:
    """[texts, size] coordinates of texts along the largest singular vectors of their words."""
    from scipy.sparse.linalg import svds

    vectors, strength, _ = svds(rows, k=size, rng=np.random.default_rng(0))
    return np.asarray(vectors * strength)


@dataclass(frozen=True)
class Ridge:
    """A linear model fitted by ridge regression."""

    weights: Floats  # [features, targets]
    centre: Floats  # [features]
    mean: Floats  # [targets]

    def __call__(self, features: Floats) -> Floats:
        """[rows, targets] predictions."""
        return np.asarray(self.mean + (features - self.centre) @ self.weights)


def fit_ridge(features: Floats, targets: Floats, penalty: float) -> Ridge:
    """Ridge regression, solved in the primal or the dual, whichever system is smaller."""
    centre, mean = features.mean(0), targets.mean(0)
    x, y = features - centre, targets - mean
    if len(x) <= x.shape[1]:
        weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
    else:
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return Ridge(weights, centre, mean)


Fit = Callable[[Floats, Floats, Floats], Floats]  # features, targets, new features -> predictions


def cross_predict(
    fit: Fit, features: Floats, targets: Floats, groups: NDArray[np.generic], folds: int = 10
) -> Floats:
    """[rows, targets] predictions of each row by a fit without any row of its group (cross-validation)."""
    kinds, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(kinds))[group] % folds
    predictions = np.full(targets.shape, np.nan)
    for k in range(min(folds, len(kinds))):
        train = fold != k
        if (~train).any():
            predictions[~train] = fit(features[train], targets[train], features[~train])
    return predictions
