"""Which of many intents a question has: two readers of n-grams that learn from nothing in seconds.

    linear    one margin a class over weighted n-grams. Joachims 1998; Wang and Manning 2012
    bag       a mean of n-gram embeddings, one hidden layer. Joulin et al. 2017, "Bag of tricks"
    both      the mean of their log probabilities, which err on different questions

Words up to three in a row and characters within words, two to five, are hashed into fixed tables, so there is no
vocabulary to keep; each counts by the logarithm of how often, and of how rare it is among the questions learned from.

How far an answer can be trusted is learned too: readers taught on two thirds of the questions answer the last third,
and a regression says from the margins, and from how often that answer, with that runner-up, was wrong, how likely it
is right. Such a score ranks answers; no promise rests on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.errors import DataError
from tolerate.models.base import generator, torch_seed, torch_threads
from tolerate.models.storage import detached_copies, read_tensors
from tolerate.models.writers.text_classifier import TextReader, load_text_reader

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
WORDS, SIGNS = 2**15, 2**16  # entries of the tables
WORD = r"\b\w+\b|[?!£$€%]"
SHARPEN = 4.0  # of the linear reader's margins, before they are taken for log odds
WEIGHT = 0.7  # of the bag in `both`
MIN_QUESTIONS = 2  # questions that an n-gram must be in for the bag to know it
FOLDS = 3
SHORT_TRAINING_SHARE = 2 / 3  # of the passes, for the readers that are only taught to learn whom to trust
CLASSES, PAIRS = 10.0, 4.0  # answers of average trust that each answer, and each pair, begins with


class Features:
    """Weighted n-grams of texts; rare ones count more."""

    def __init__(self, rarity: NDArray[np.float32] | None = None) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        plain: dict[str, Any] = {"norm": None, "alternate_sign": False, "dtype": np.float32}
        self._words = HashingVectorizer(n_features=WORDS, ngram_range=(1, 3), token_pattern=WORD, **plain)
        self._signs = HashingVectorizer(n_features=SIGNS, analyzer="char_wb", ngram_range=(2, 5), **plain)
        self.rarity = rarity

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn how rare each n-gram is, and the features of these texts."""
        counts = self._counts(texts)
        occurrences = np.bincount(counts.indices, minlength=WORDS + SIGNS)
        self.rarity = (np.log((1 + len(texts)) / (1 + occurrences)) + 1).astype(np.float32)
        return self._weighted(counts)

    def __call__(self, texts: Sequence[str]) -> Any:
        """A sparse row for each text, words and signs each of length 1."""
        return self._weighted(self._counts(texts))

    def _counts(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import hstack

        return hstack([self._words.transform(texts), self._signs.transform(texts)]).tocsr()

    def _weighted(self, counts: Any) -> Any:
        from scipy.sparse import hstack
        from sklearn.preprocessing import normalize

        assert self.rarity is not None
        counts = counts.copy()
        counts.data = (1 + np.log(counts.data)) * self.rarity[counts.indices]
        return hstack([normalize(counts[:, :WORDS]), normalize(counts[:, WORDS:])]).tocsr()


class Bag(nn.Module):
    """Embeddings of n-grams, summed by weight, and one hidden layer beside them.

    known: the n-grams that it has embeddings for.
    """

    def __init__(self, classes: int, known: Ints, width: int = 128) -> None:
        super().__init__()
        self.known: Tensor
        self.register_buffer("known", torch.from_numpy(known))
        self.table = nn.EmbeddingBag(len(known), width, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.hidden, self.head = nn.Linear(width, width), nn.Linear(width, classes)

    def narrowed(self, rows: Any) -> Any:
        """Rows of all n-grams as rows of the known ones."""
        return rows[:, self.known.numpy()].tocsr()

    def forward(self, rows: Any, keep: Tensor | None = None) -> Tensor:
        """Logits of sparse rows of known n-grams; `keep` scales each of their entries."""
        places = torch.from_numpy(rows.indices.astype(np.int64))
        first = torch.from_numpy(rows.indptr[:-1].astype(np.int64))
        weights = torch.from_numpy(rows.data) if keep is None else torch.from_numpy(rows.data) * keep
        drop = 0.3 if self.training else 0.0
        mean = F.dropout(self.table(places, first, per_sample_weights=weights), drop)
        logits: Tensor = self.head(F.dropout(mean + F.relu(self.hidden(mean)), 5 * drop / 3))
        return logits


@dataclass(frozen=True)
class Trust:
    """How likely an answer is right, by what readers did with questions they had not seen.

    weights: of the constant and of each thing told. classes: log odds that this answer is right [classes]. pairs: log
    share of wrong ones among answers with this runner-up [classes, classes].
    """

    weights: Floats
    classes: Floats
    pairs: Floats

    def __call__(self, margins: Sequence[Floats], first: Ints, second: Ints) -> Floats:
        """Log odds that the answers `first` are right: [n]."""
        features = np.stack([*margins, self.classes[first], self.pairs[first, second]], 1)
        return np.asarray(self.weights[0] + features @ self.weights[1:], dtype=np.float64)


@dataclass(frozen=True)
class Reader:
    """A taught reader of intents: log probabilities of each class."""

    kind: str  # linear, bag or both
    classes: tuple[str, ...]
    features: Features
    margins: NDArray[np.float32] | None  # [classes, features + 1], the constant last
    bag: Bag | None
    trust: Trust | None = None

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Log probabilities [n, classes]."""
        return self._mixed(self._opinions(self.features(texts)))

    def answers(self, texts: Sequence[str]) -> tuple[Ints, Floats]:
        """The likeliest class of each text, and the log odds that it is right (without `trust`, the margin)."""
        opinions = self._opinions(self.features(texts))
        mixed = self._mixed(opinions)
        first, second = _two_best(mixed)
        margins = self._margins_of(opinions, mixed, first)
        return first, margins[-1] if self.trust is None else self.trust(margins, first, second)

    def _opinions(self, rows: Any) -> list[tuple[float, Floats]]:
        return [(weight, reader(rows)) for weight, reader in self._readers()]

    def _mixed(self, opinions: Sequence[tuple[float, Floats]]) -> Floats:
        mixed = sum(weight * logs for weight, logs in opinions) / sum(weight for weight, _ in opinions)
        return np.asarray(mixed - np.logaddexp.reduce(mixed, axis=1, keepdims=True), dtype=np.float64)

    def _margins_of(
        self, opinions: Sequence[tuple[float, Floats]], mixed: Floats, first: Ints
    ) -> list[Floats]:
        """How far the answer leads in each reader's opinion, and in the mixed one, which comes last."""
        separate = [logs for _, logs in opinions] if len(opinions) > 1 else []
        return [_lead(logs, first) for logs in [*separate, mixed]]

    def _readers(self) -> list[tuple[float, Callable[[Any], Floats]]]:
        linear = [(1 - WEIGHT, self._linear)] if self.margins is not None else []
        return [*linear, *([(WEIGHT, self._deep)] if self.bag is not None else [])]

    def _linear(self, rows: Any) -> Floats:
        assert self.margins is not None
        margins = SHARPEN * (rows @ self.margins[:, :-1].T + self.margins[:, -1])
        return np.asarray(margins - np.logaddexp.reduce(margins, axis=1, keepdims=True), dtype=np.float64)

    def _deep(self, rows: Any) -> Floats:
        assert self.bag is not None
        with torch.no_grad(), torch_threads(1):
            logs = self.bag.eval()(self.bag.narrowed(rows)).log_softmax(-1)
            return np.asarray(logs.numpy(), dtype=np.float64)

    @property
    def size(self) -> int:
        """Weights."""
        margins = 0 if self.margins is None else self.margins.size
        return margins + sum(
            weight.numel() for weight in (self.bag.parameters() if self.bag is not None else ())
        )

    def save(self, folder: Path) -> None:
        """Write the reader as safetensors, its classes beside it last."""
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


def load_reader(folder: Path) -> Reader | TextReader:
    """The reader that `save` wrote, or that `teach_encoder` left."""
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
        bag = Bag(len(about["classes"]), parts["bag"]["known"].numpy(), parts["bag"]["table.weight"].shape[1])
        bag.load_state_dict(parts["bag"])
    trust = (
        Trust(**{name: tensor.numpy() for name, tensor in parts["trust"].items()}) if parts["trust"] else None
    )
    margins = tensors["margins"].numpy() if "margins" in tensors else None
    features = Features(tensors["rarity"].numpy())
    return Reader(about["kind"], tuple(about["classes"]), features, margins, bag, trust)


def teach_reader(
    kind: str,
    texts: Sequence[str],
    intents: Sequence[str],
    *,
    seed: int = 0,
    passes: int = 12,
    abstain: str | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Reader:
    """Teach a reader (linear, bag or both) on questions whose intents are known, and how far to trust it.

    abstain: the class that is no answer; how far to trust it is of no interest.
    """
    if len(texts) != len(intents) or len(set(intents)) < 2:
        raise DataError(
            f"{len(texts)} questions with {len(set(intents))} different intents; expected one each, of two or more"
        )
    classes = tuple(sorted(set(intents)))
    labels = np.searchsorted(classes, intents).astype(np.int64)
    features = Features()
    rows = features.fit(texts)
    report = on_progress or (lambda share: None)
    whole = 1 / (1 + FOLDS * SHORT_TRAINING_SHARE * (1 - 1 / FOLDS))  # of the work, the last reader's

    def reader(some: Mask, share: float, begun: float, width: float) -> Reader:
        margins = _margins(rows[some], labels[some], len(classes)) if kind != "bag" else None
        times = max(1, round(share * passes))
        bag = None
        if kind != "linear":
            bag = _train_bag(
                rows[some], labels[some], len(classes), times, seed, lambda done: report(begun + width * done)
            )
        return Reader(kind, classes, features, margins, bag)

    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    first, second = np.zeros((2, len(labels)), dtype=np.int64)
    leads: list[Floats] = []
    for index in range(FOLDS):
        held_out = fold == index
        fold_reader = reader(
            ~held_out, SHORT_TRAINING_SHARE, index * (1 - whole) / FOLDS, (1 - whole) / FOLDS
        )
        opinions = fold_reader._opinions(rows[held_out])
        mixed = fold_reader._mixed(opinions)
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
    fitted = reader(np.ones(len(labels), dtype=bool), 1.0, 1 - whole, whole)
    return replace(fitted, trust=trust)


def _two_best(logs: Floats) -> tuple[Ints, Ints]:
    """The likeliest class and the runner-up: [n], [n]."""
    best = np.argpartition(-logs, 1, axis=1)[:, :2]
    order = np.take_along_axis(logs, best, 1).argsort(1)[:, ::-1]
    best = np.take_along_axis(best, order, 1).astype(np.int64)
    return best[:, 0], best[:, 1]


def _lead(logs: Floats, first: Ints) -> Floats:
    """How far an answer leads the best of the others; negative where another leads."""
    others = logs.copy()
    rows = np.arange(len(logs))
    others[rows, first] = -np.inf
    return np.asarray(logs[rows, first] - others.max(1), dtype=np.float64)


def _fit_trust(leads: Sequence[Floats], first: Ints, second: Ints, labels: Ints, classes: int) -> Trust:
    """Fit the regression; of each question, the shares of wrong answers leave that question itself out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    right = (first == labels).astype(np.float64)
    if right.min() == right.max():  # all right, or all wrong: the margin says all that is known
        return Trust(
            np.r_[0.0, np.zeros(len(leads) - 1), 1.0, 0.0, 0.0],
            np.zeros(classes),
            np.zeros((classes, classes)),
        )
    usual = right.mean()
    totals, good = (np.bincount(first, weights_of, classes) for weights_of in (np.ones(len(first)), right))
    together, bad = np.zeros((2, classes, classes))
    np.add.at(together, (first, second), 1.0)
    np.add.at(bad, (first, second), 1 - right)

    def by_class(own: Floats | float, count: float, index: Any) -> Floats:
        share = (good[index] - own + CLASSES * usual) / (totals[index] - count + CLASSES)
        return np.asarray(np.log(share / (1 - share)), dtype=np.float64)

    def by_pair(own: Floats | float, count: float, index: Any) -> Floats:
        share = (bad[index] - own + PAIRS * (1 - usual)) / (together[index] - count + PAIRS)
        return np.asarray(np.log(share), dtype=np.float64)

    features = np.stack([*leads, by_class(right, 1.0, first), by_pair(1 - right, 1.0, (first, second))], 1)
    scaler = StandardScaler().fit(features)
    regression = LogisticRegression(C=0.3, max_iter=1000).fit(scaler.transform(features), right)
    slopes = regression.coef_[0] / scaler.scale_
    weights = np.r_[regression.intercept_[0] - (slopes * scaler.mean_).sum(), slopes]
    every = np.arange(classes)
    return Trust(weights, by_class(0.0, 0.0, every), by_pair(0.0, 0.0, np.ix_(every, every)))


def _margins(rows: Any, labels: Ints, classes: int) -> NDArray[np.float32]:
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
    rows: Any, labels: Ints, classes: int, passes: int, seed: int, on_progress: Callable[[float], None] | None
) -> Bag:
    """The network, its rate rising quickly and falling to 0; a fifth of the n-grams is left out at random."""
    batch = min(len(labels), max(16, min(128, len(labels) // 80)))  # some hundred steps at least
    occurrences = np.bincount(rows.indices, minlength=rows.shape[1])
    with torch_seed(seed), torch_threads(1):
        bag, rng = Bag(classes, np.flatnonzero(occurrences >= MIN_QUESTIONS)), generator(seed)
        rows = bag.narrowed(rows)
        adam = torch.optim.AdamW(bag.parameters(), weight_decay=0.01, fused=True)
        steps = passes * (len(labels) // batch)
        for step in range(steps):
            place = step % (len(labels) // batch)
            if place == 0:
                order = torch.randperm(len(labels), generator=rng).numpy()
            mine = order[place * batch : (place + 1) * batch]
            adam.param_groups[0]["lr"] = 4e-3 * min(1.0, (step + 1) / 50) * (1 - step / steps)
            some = rows[mine]
            keep = (torch.rand(len(some.data), generator=rng) > 0.2).float() / 0.8
            loss = F.cross_entropy(bag(some, keep), torch.from_numpy(labels[mine]), label_smoothing=0.1)
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            if on_progress is not None and step % 20 == 0:
                on_progress(step / steps)
    return bag.eval()


def reading_cost(reader: Reader | TextReader, texts: Sequence[str]) -> float:
    """Core-seconds to read one question, counted from the products of its n-grams: the same on every machine."""
    from tolerate.models.training.cost import OPERATIONS_PER_SECOND

    if isinstance(reader, TextReader):
        return reader.cost(texts)
    entries = reader.features(texts).nnz / len(texts)
    width = 0 if reader.bag is None else reader.bag.head.in_features
    linear = 2 * entries * len(reader.classes) if reader.margins is not None else 0
    return (
        float(linear + 2 * entries * width + 2 * width * (width + len(reader.classes)))
        / OPERATIONS_PER_SECOND
    )
