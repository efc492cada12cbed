"""Which of many intents a question has: two readers of n-grams that learn from nothing in seconds.

    linear    one margin a class over weighted n-grams. Joachims 1998; Wang and Manning 2012
    bag       a mean of n-gram embeddings, one hidden layer. Joulin et al. 2017, "Bag of tricks"
    both      the mean of their log probabilities, which err on different questions

Words up to three in a row and characters within words, two to five, are hashed into fixed tables, so there is no
vocabulary to keep; each counts by the logarithm of how often, and of how rare it is among the questions learned from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.errors import DataError
from tolerate.folder import read_json, to_json, write_whole
from tolerate.models.encoder import TextReader, load_text_reader
from tolerate.models.model import alone, generator, read_tensors, seeded
from tolerate.models.train import threaded

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WORDS, SIGNS = 2**15, 2**16  # entries of the tables
WORD = r"\b\w+\b|[?!£$€%]"
SHARPEN = 4.0  # of the linear reader's margins, before they are taken for log odds
WEIGHT = 0.7  # of the bag in `both`


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
        seen = np.bincount(counts.indices, minlength=WORDS + SIGNS)
        self.rarity = (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)
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
    """Embeddings of n-grams, summed by weight, and one hidden layer beside them."""

    def __init__(self, classes: int, width: int = 192) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(WORDS + SIGNS, width, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.hidden, self.head = nn.Linear(width, width), nn.Linear(width, classes)

    def forward(self, rows: Any, keep: Tensor | None = None) -> Tensor:
        """Logits of sparse rows; `keep` scales each of their entries."""
        places = torch.from_numpy(rows.indices.astype(np.int64))
        first = torch.from_numpy(rows.indptr[:-1].astype(np.int64))
        weights = torch.from_numpy(rows.data) if keep is None else torch.from_numpy(rows.data) * keep
        drop = 0.3 if self.training else 0.0
        mean = F.dropout(self.table(places, first, per_sample_weights=weights), drop)
        logits: Tensor = self.head(F.dropout(mean + F.relu(self.hidden(mean)), 5 * drop / 3))
        return logits


@dataclass(frozen=True)
class Reader:
    """A taught reader of intents: log probabilities of each class."""

    kind: str  # linear, bag or both
    classes: tuple[str, ...]
    features: Features
    margins: NDArray[np.float32] | None  # [classes, features + 1], the constant last
    bag: Bag | None

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Log probabilities [n, classes]."""
        rows = self.features(texts)
        found = [(weight, each(rows)) for weight, each in self._readers()]
        mixed = sum(weight * logs for weight, logs in found) / sum(weight for weight, _ in found)
        return np.asarray(mixed - np.logaddexp.reduce(mixed, axis=1, keepdims=True), dtype=np.float64)

    def _readers(self) -> list[tuple[float, Callable[[Any], Floats]]]:
        linear = [(1 - WEIGHT, self._linear)] if self.margins is not None else []
        return [*linear, *([(WEIGHT, self._deep)] if self.bag is not None else [])]

    def _linear(self, rows: Any) -> Floats:
        assert self.margins is not None
        margins = SHARPEN * (rows @ self.margins[:, :-1].T + self.margins[:, -1])
        return np.asarray(margins - np.logaddexp.reduce(margins, axis=1, keepdims=True), dtype=np.float64)

    def _deep(self, rows: Any) -> Floats:
        assert self.bag is not None
        with torch.no_grad(), threaded(1):
            logs = self.bag.eval()(rows).log_softmax(-1)
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
        write_whole(folder / "reader.safetensors", save(alone(tensors)))
        write_whole(folder / "reader.json", to_json({"kind": self.kind, "classes": list(self.classes)}))


def load_reader(folder: Path) -> Reader | TextReader:
    """The reader that `save` wrote, or that `teach_encoder` left."""
    about = read_json(folder / "reader.json", "a reader of intents")
    if about["kind"] == "texts":
        return load_text_reader(folder)
    tensors, _ = read_tensors(folder / "reader.safetensors")
    bag = None
    if about["kind"] != "linear":
        bag = Bag(len(about["classes"]))
        bag.load_state_dict({name[4:]: each for name, each in tensors.items() if name.startswith("bag/")})
    margins = tensors["margins"].numpy() if "margins" in tensors else None
    return Reader(about["kind"], tuple(about["classes"]), Features(tensors["rarity"].numpy()), margins, bag)


def teach_reader(
    kind: str,
    texts: Sequence[str],
    intents: Sequence[str],
    *,
    seed: int = 0,
    passes: int = 12,
    on_progress: Callable[[float], None] | None = None,
) -> Reader:
    """Teach a reader (linear, bag or both) on questions whose intents are known."""
    if len(texts) != len(intents) or len(set(intents)) < 2:
        raise DataError(
            f"{len(texts)} questions with {len(set(intents))} different intents; expected one each, of two or more"
        )
    classes = tuple(sorted(set(intents)))
    labels = np.searchsorted(classes, intents).astype(np.int64)
    features = Features()
    rows = features.fit(texts)
    margins = _margins(rows, labels) if kind != "bag" else None
    bag = _taught_bag(rows, labels, len(classes), passes, seed, on_progress) if kind != "linear" else None
    return Reader(kind, classes, features, margins, bag)


def _margins(rows: Any, labels: Ints) -> NDArray[np.float32]:
    """Weights and constant of each class, by a support vector machine."""
    from sklearn.svm import LinearSVC

    found = LinearSVC(C=0.3, tol=1e-2, random_state=0).fit(rows, labels)
    weights, constants = found.coef_, found.intercept_
    if len(weights) == 1:  # of two classes scikit-learn keeps one margin
        weights, constants = np.concatenate([-weights, weights]), np.concatenate([-constants, constants])
    return np.asarray(np.c_[weights, constants], dtype=np.float32)


def _taught_bag(
    rows: Any, labels: Ints, classes: int, passes: int, seed: int, on_progress: Callable[[float], None] | None
) -> Bag:
    """The network, its rate rising quickly and falling to 0; a fifth of the n-grams is left out at random."""
    batch = min(len(labels), max(16, min(128, len(labels) // 80)))  # some hundred steps at least
    with seeded(seed), threaded(1):
        bag, rng = Bag(classes), generator(seed)
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
    from tolerate.models.cost import RATE

    if isinstance(reader, TextReader):
        return reader.cost(texts)
    entries = reader.features(texts).nnz / len(texts)
    width = 0 if reader.bag is None else reader.bag.head.in_features
    linear = 2 * entries * len(reader.classes) if reader.margins is not None else 0
    return float(linear + 2 * entries * width + 2 * width * (width + len(reader.classes))) / RATE
