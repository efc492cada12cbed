"""Classifiers of questions by n-grams, trained from scratch in seconds.

    linear    one margin a class over weighted n-grams. Joachims 1998; Wang and Manning 2012
    bag       a mean of n-gram embeddings, one hidden layer. Joulin et al. 2017, "Bag of tricks"
    both      the mean of their log probabilities, since they err on different questions

Runs of one to three words and of two to five characters within words are hashed into fixed tables, so there is no
vocabulary to store; each is weighted by the logarithms of its count and of its rarity among the training questions.

The confidence of an answer is learned too: classifiers trained on two thirds of the questions answer the last third,
and a logistic regression predicts from the margins, and from how often that answer, with that runner-up, was wrong,
whether it is right. This score ranks answers; no guarantee depends on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.errors import DataError
from tolerate.models.base import generator, torch_seed, torch_threads
from tolerate.models.storage import detached_copies, read_tensors
from tolerate.models.writers.text_classifier import TextClassifier, load_text_reader

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
WORD_BUCKETS, CHARACTER_BUCKETS = 2**15, 2**16  # entries of the tables
WORD_PATTERN = r"\b\w+\b|[?!£$€%]"
MARGIN_SCALE = 4.0  # turns margins of the linear classifier into logits
BAG_WEIGHT = 0.7  # of the bag in `both`
MIN_QUESTIONS = 2  # that hold an n-gram, for the bag to have an embedding for it
FOLDS = 3
SHORT_TRAINING_SHARE = 2 / 3  # of the passes, for the classifiers that the confidence is learned from
CLASS_PRIOR_COUNT, PAIR_PRIOR_COUNT = (
    10.0,
    4.0,
)  # pseudo-counts at the average rate, of each class and each pair


class SparseRows(Protocol):
    """A matrix of scipy in CSR form, which is untyped."""

    data: NDArray[np.float32]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]
    shape: tuple[int, int]
    nnz: int

    def copy(self) -> "SparseRows":
        """A copy."""

    def tocsr(self) -> "SparseRows":
        """The matrix in CSR form."""

    def __getitem__(self, index: object) -> "SparseRows":
        """Rows, or rows and columns."""

    def __matmul__(self, other: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product with a dense matrix."""


class NGramFeatures:
    """Weighted n-grams of texts; rare ones have larger weights."""

    def __init__(self, rarity: NDArray[np.float32] | None = None) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        options: dict[str, Any] = {"norm": None, "alternate_sign": False, "dtype": np.float32}
        self._words = HashingVectorizer(
            n_features=WORD_BUCKETS, ngram_range=(1, 3), token_pattern=WORD_PATTERN, **options
        )
        self._characters = HashingVectorizer(
            n_features=CHARACTER_BUCKETS, analyzer="char_wb", ngram_range=(2, 5), **options
        )
        self.rarity = rarity

    def fit(self, texts: Sequence[str]) -> SparseRows:
        """Learn how rare each n-gram is; returns the features of these texts."""
        counts = self._counts(texts)
        occurrences = np.bincount(counts.indices, minlength=WORD_BUCKETS + CHARACTER_BUCKETS)
        self.rarity = (np.log((1 + len(texts)) / (1 + occurrences)) + 1).astype(np.float32)
        return self._weighted(counts)

    def __call__(self, texts: Sequence[str]) -> SparseRows:
        """A sparse row for each text; its words and its characters each have length 1."""
        return self._weighted(self._counts(texts))

    def _counts(self, texts: Sequence[str]) -> SparseRows:
        from scipy.sparse import hstack

        counts: SparseRows = hstack([self._words.transform(texts), self._characters.transform(texts)]).tocsr()
        return counts

    def _weighted(self, counts: SparseRows) -> SparseRows:
        from scipy.sparse import hstack
        from sklearn.preprocessing import normalize

        assert self.rarity is not None
        counts = counts.copy()
        counts.data = (1 + np.log(counts.data)) * self.rarity[counts.indices]
        weighted: SparseRows = hstack(
            [normalize(counts[:, :WORD_BUCKETS]), normalize(counts[:, WORD_BUCKETS:])]
        ).tocsr()
        return weighted


class NGramNetwork(nn.Module):
    """Embeddings of n-grams, summed by weight, with one residual hidden layer.

    ngrams: those that it has embeddings for; stored as the buffer `known`.
    """

    def __init__(self, classes: int, ngrams: Ints, width: int = 128) -> None:
        super().__init__()
        self.known: Tensor
        self.register_buffer("known", torch.from_numpy(ngrams))
        self.table = nn.EmbeddingBag(len(ngrams), width, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.hidden, self.head = nn.Linear(width, width), nn.Linear(width, classes)

    def select_known(self, rows: SparseRows) -> SparseRows:
        """The columns of n-grams that have an embedding."""
        return rows[:, self.known.numpy()].tocsr()

    def forward(self, rows: SparseRows, keep: Tensor | None = None) -> Tensor:
        """Logits of rows from `select_known`; keep: scales each entry."""
        indices = torch.from_numpy(rows.indices.astype(np.int64))
        offsets = torch.from_numpy(rows.indptr[:-1].astype(np.int64))
        weights = torch.from_numpy(rows.data) if keep is None else torch.from_numpy(rows.data) * keep
        drop = 0.3 if self.training else 0.0
        mean = F.dropout(self.table(indices, offsets, per_sample_weights=weights), drop)
        logits: Tensor = self.head(F.dropout(mean + F.relu(self.hidden(mean)), 5 * drop / 3))
        return logits


@dataclass(frozen=True)
class TrustRegression:
    """Logistic regression of whether an answer is right, fitted on questions that the classifiers had not seen.

    weights: of the constant and of each feature. classes: log odds that this answer is right [classes]. pairs: log
    share of wrong answers among those with this runner-up [classes, classes].
    """

    weights: Floats
    classes: Floats
    pairs: Floats

    def __call__(self, margins: Sequence[Floats], first: Ints, second: Ints) -> Floats:
        """Log odds that the answers `first` are right: [n]."""
        features = np.stack([*margins, self.classes[first], self.pairs[first, second]], 1)
        return np.asarray(self.weights[0] + features @ self.weights[1:], dtype=np.float64)


@dataclass(frozen=True)
class NGramClassifier:
    """A trained classifier of questions; calling it gives log probabilities of each class."""

    kind: str  # linear, bag or both
    classes: tuple[str, ...]
    features: NGramFeatures
    margins: NDArray[np.float32] | None  # [classes, features + 1], the constant last
    bag: NGramNetwork | None
    trust: TrustRegression | None = None

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Log probabilities [n, classes]."""
        return self._mixture(self._log_probabilities(self.features(texts)))

    def answers(self, texts: Sequence[str]) -> tuple[Ints, Floats]:
        """The likeliest class of each text, and the log odds that it is right (without `trust`, the margin)."""
        opinions = self._log_probabilities(self.features(texts))
        mixed = self._mixture(opinions)
        first, second = _two_best(mixed)
        margins = self._margins_of(opinions, mixed, first)
        return first, margins[-1] if self.trust is None else self.trust(margins, first, second)

    def _log_probabilities(self, rows: SparseRows) -> list[tuple[float, Floats]]:
        return [(weight, reader(rows)) for weight, reader in self._readers()]

    def _mixture(self, opinions: Sequence[tuple[float, Floats]]) -> Floats:
        mixed = sum(weight * logs for weight, logs in opinions) / sum(weight for weight, _ in opinions)
        return np.asarray(mixed - np.logaddexp.reduce(mixed, axis=1, keepdims=True), dtype=np.float64)

    def _margins_of(
        self, opinions: Sequence[tuple[float, Floats]], mixed: Floats, first: Ints
    ) -> list[Floats]:
        """The lead of the answer by each classifier alone and by the mixture, which comes last."""
        separate = [logs for _, logs in opinions] if len(opinions) > 1 else []
        return [_lead(logs, first) for logs in [*separate, mixed]]

    def _readers(self) -> list[tuple[float, Callable[[SparseRows], Floats]]]:
        linear = [(1 - BAG_WEIGHT, self._linear_log_probabilities)] if self.margins is not None else []
        return [*linear, *([(BAG_WEIGHT, self._bag_log_probabilities)] if self.bag is not None else [])]

    def _linear_log_probabilities(self, rows: SparseRows) -> Floats:
        assert self.margins is not None
        margins = MARGIN_SCALE * (rows @ self.margins[:, :-1].T + self.margins[:, -1])
        return np.asarray(margins - np.logaddexp.reduce(margins, axis=1, keepdims=True), dtype=np.float64)

    def _bag_log_probabilities(self, rows: SparseRows) -> Floats:
        assert self.bag is not None
        with torch.no_grad(), torch_threads(1):
            logs = self.bag.eval()(self.bag.select_known(rows)).log_softmax(-1)
            return np.asarray(logs.numpy(), dtype=np.float64)

    @property
    def size(self) -> int:
        """Weights."""
        margins = 0 if self.margins is None else self.margins.size
        return margins + sum(
            weight.numel() for weight in (self.bag.parameters() if self.bag is not None else ())
        )

    def save(self, folder: Path) -> None:
        """Write reader.safetensors, then reader.json with the classes."""
        from safetensors.torch import save

        assert self.features.rarity is not None
        tensors = {"rarity": torch.from_numpy(self.features.rarity)}
        if self.margins is not None:
            tensors["margins"] = torch.from_numpy(self.margins)
        if self.bag is not None:
            tensors |= {f"bag/{name}": weight for name, weight in self.bag.state_dict().items()}
        if self.trust is not None:
            tensors |= {
                f"trust/{name}": torch.from_numpy(values) for name, values in vars(self.trust).items()
            }
        write_whole(folder / "reader.safetensors", save(detached_copies(tensors)))
        write_whole(folder / "reader.json", to_json({"kind": self.kind, "classes": list(self.classes)}))


def load_reader(folder: Path) -> NGramClassifier | TextClassifier:
    """The classifier that `save` or `teach_encoder` wrote."""
    about = read_json(folder / "reader.json", "a reader of intents")
    if about["kind"] == "texts":
        return load_text_reader(folder)
    tensors, _ = read_tensors(folder / "reader.safetensors")
    parts: dict[str, dict[str, Tensor]] = {"bag": {}, "trust": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        if rest:
            parts[part][rest] = tensor
    bag = None
    if about["kind"] != "linear":
        bag = NGramNetwork(
            len(about["classes"]), parts["bag"]["known"].numpy(), parts["bag"]["table.weight"].shape[1]
        )
        bag.load_state_dict(parts["bag"])
    trust = (
        TrustRegression(**{name: tensor.numpy() for name, tensor in parts["trust"].items()})
        if parts["trust"]
        else None
    )
    margins = tensors["margins"].numpy() if "margins" in tensors else None
    features = NGramFeatures(tensors["rarity"].numpy())
    return NGramClassifier(about["kind"], tuple(about["classes"]), features, margins, bag, trust)


def teach_reader(
    kind: str,
    texts: Sequence[str],
    intents: Sequence[str],
    *,
    seed: int = 0,
    passes: int = 12,
    abstain: str | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> NGramClassifier:
    """Train a classifier (linear, bag or both) on questions with known intents, and its confidence.

    abstain: the class that is no answer; its confidence is not learned.
    """
    if len(texts) != len(intents) or len(set(intents)) < 2:
        raise DataError(
            f"{len(texts)} questions with {len(set(intents))} different intents; expected one each, of two or more"
        )
    classes = tuple(sorted(set(intents)))
    labels = np.searchsorted(classes, intents).astype(np.int64)
    features = NGramFeatures()
    rows = features.fit(texts)
    report = on_progress or (lambda share: None)
    last_share = 1 / (
        1 + FOLDS * SHORT_TRAINING_SHARE * (1 - 1 / FOLDS)
    )  # of the work, for the final classifier

    def fit(mask: Mask, share: float, start: float, width: float) -> NGramClassifier:
        margins = _margins(rows[mask], labels[mask], len(classes)) if kind != "bag" else None
        times = max(1, round(share * passes))
        bag = None
        if kind != "linear":
            bag = _train_bag(
                rows[mask], labels[mask], len(classes), times, seed, lambda done: report(start + width * done)
            )
        return NGramClassifier(kind, classes, features, margins, bag)

    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    first, second = np.zeros((2, len(labels)), dtype=np.int64)
    leads: list[Floats] = []
    for index in range(FOLDS):
        held_out = fold == index
        fold_reader = fit(
            ~held_out, SHORT_TRAINING_SHARE, index * (1 - last_share) / FOLDS, (1 - last_share) / FOLDS
        )
        opinions = fold_reader._log_probabilities(rows[held_out])
        mixed = fold_reader._mixture(opinions)
        first[held_out], second[held_out] = _two_best(mixed)
        margins_of_fold = fold_reader._margins_of(opinions, mixed, first[held_out])
        leads = leads or [np.zeros(len(labels)) for _ in margins_of_fold]
        for lead, part in zip(leads, margins_of_fold, strict=True):
            lead[held_out] = part
    answerable = np.ones(len(labels), dtype=bool) if abstain is None else first != classes.index(abstain)
    trust = _fit_trust(
        [lead[answerable] for lead in leads],
        first[answerable],
        second[answerable],
        labels[answerable],
        len(classes),
    )
    fitted = fit(np.ones(len(labels), dtype=bool), 1.0, 1 - last_share, last_share)
    return replace(fitted, trust=trust)


def _two_best(logs: Floats) -> tuple[Ints, Ints]:
    """The likeliest class and the runner-up: [n], [n]."""
    best = np.argpartition(-logs, 1, axis=1)[:, :2]
    order = np.take_along_axis(logs, best, 1).argsort(1)[:, ::-1]
    best = np.take_along_axis(best, order, 1).astype(np.int64)
    return best[:, 0], best[:, 1]


def _lead(logs: Floats, first: Ints) -> Floats:
    """Log probability of an answer less that of the best other class; negative if that is likelier: [n]."""
    others = logs.copy()
    rows = np.arange(len(logs))
    others[rows, first] = -np.inf
    return np.asarray(logs[rows, first] - others.max(1), dtype=np.float64)


def _fit_trust(
    leads: Sequence[Floats], first: Ints, second: Ints, labels: Ints, classes: int
) -> TrustRegression:
    """Fit the regression of right answers on leads and on error rates of classes and pairs."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    right = (first == labels).astype(np.float64)
    if right.min() == right.max():  # all right, or all wrong: the lead alone ranks
        return TrustRegression(
            np.r_[0.0, np.zeros(len(leads) - 1), 1.0, 0.0, 0.0],
            np.zeros(classes),
            np.zeros((classes, classes)),
        )
    base_rate = right.mean()
    totals, right_counts = (np.bincount(first, weights, classes) for weights in (np.ones(len(first)), right))
    pair_counts, wrong_counts = np.zeros((2, classes, classes))
    np.add.at(pair_counts, (first, second), 1.0)
    np.add.at(wrong_counts, (first, second), 1 - right)

    # Features of a question leave its own outcome (right or wrong, a count of 1) out of the counts.
    def by_class(outcome: Floats | float, count: float, index: Ints) -> Floats:
        share = (right_counts[index] - outcome + CLASS_PRIOR_COUNT * base_rate) / (
            totals[index] - count + CLASS_PRIOR_COUNT
        )
        return np.asarray(np.log(share / (1 - share)), dtype=np.float64)

    def by_pair(outcome: Floats | float, count: float, index: tuple[Ints, ...]) -> Floats:
        share = (wrong_counts[index] - outcome + PAIR_PRIOR_COUNT * (1 - base_rate)) / (
            pair_counts[index] - count + PAIR_PRIOR_COUNT
        )
        return np.asarray(np.log(share), dtype=np.float64)

    features = np.stack([*leads, by_class(right, 1.0, first), by_pair(1 - right, 1.0, (first, second))], 1)
    scaler = StandardScaler().fit(features)
    regression = LogisticRegression(C=0.3, max_iter=1000).fit(scaler.transform(features), right)
    slopes = regression.coef_[0] / scaler.scale_
    weights = np.r_[regression.intercept_[0] - (slopes * scaler.mean_).sum(), slopes]
    classes_range = np.arange(classes)
    return TrustRegression(
        weights, by_class(0.0, 0.0, classes_range), by_pair(0.0, 0.0, np.ix_(classes_range, classes_range))
    )


def _margins(rows: SparseRows, labels: Ints, classes: int) -> NDArray[np.float32]:
    """Weights and constant of each class, by a support vector machine; a class that is absent is never chosen."""
    from sklearn.svm import LinearSVC

    margins = np.zeros((classes, rows.shape[1] + 1), dtype=np.float32)
    margins[:, -1] = -2.0
    machine = LinearSVC(C=0.3, tol=1e-2, random_state=0).fit(rows, labels)
    weights, constants = machine.coef_, machine.intercept_
    if len(weights) == 1:  # of two classes scikit-learn keeps one margin
        weights, constants = np.concatenate([-weights, weights]), np.concatenate([-constants, constants])
    margins[machine.classes_] = np.c_[weights, constants]
    return margins


def _train_bag(
    rows: SparseRows,
    labels: Ints,
    classes: int,
    passes: int,
    seed: int,
    on_progress: Callable[[float], None] | None,
) -> NGramNetwork:
    """Train the network: the rate rises quickly and falls to 0; a random fifth of the n-grams is dropped."""
    batch = min(len(labels), max(16, min(128, len(labels) // 80)))  # some hundred steps at least
    occurrences = np.bincount(rows.indices, minlength=rows.shape[1])
    with torch_seed(seed), torch_threads(1):
        bag, rng = NGramNetwork(classes, np.flatnonzero(occurrences >= MIN_QUESTIONS)), generator(seed)
        rows = bag.select_known(rows)
        adam = torch.optim.AdamW(bag.parameters(), weight_decay=0.01, fused=True)
        steps = passes * (len(labels) // batch)
        for step in range(steps):
            batch_number = step % (len(labels) // batch)
            if batch_number == 0:
                order = torch.randperm(len(labels), generator=rng).numpy()
            batch_indices = order[batch_number * batch : (batch_number + 1) * batch]
            adam.param_groups[0]["lr"] = 4e-3 * min(1.0, (step + 1) / 50) * (1 - step / steps)
            batch_rows = rows[batch_indices]
            keep = (torch.rand(len(batch_rows.data), generator=rng) > 0.2).float() / 0.8
            loss = F.cross_entropy(
                bag(batch_rows, keep), torch.from_numpy(labels[batch_indices]), label_smoothing=0.1
            )
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            if on_progress is not None and step % 20 == 0:
                on_progress(step / steps)
    return bag.eval()


def reading_cost(reader: NGramClassifier | TextClassifier, texts: Sequence[str]) -> float:
    """Core-seconds to read one question, counted from the products of its n-grams: the same on every machine."""
    from tolerate.models.training.cost import OPERATIONS_PER_SECOND

    if isinstance(reader, TextClassifier):
        return reader.cost(texts)
    entries = reader.features(texts).nnz / len(texts)
    width = 0 if reader.bag is None else reader.bag.head.in_features
    linear = 2 * entries * len(reader.classes) if reader.margins is not None else 0
    return (
        float(linear + 2 * entries * width + 2 * width * (width + len(reader.classes)))
        / OPERATIONS_PER_SECOND
    )
