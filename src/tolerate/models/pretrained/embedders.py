"""Texts as vectors, so that two that say the same in other words lie near each other.

letters              runs of two to four letters, weighted by rarity, their main directions (Deerwester et al. 1990);
                     learned from the job's own texts in seconds, nothing is downloaded
hf:NAME-OR-FOLDER    the mean of an encoder's last layer (Reimers and Gurevych 2019), by transformers
openai:MODEL@URL     the embeddings of an OpenAI-compatible server, each asked for once
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import OptionError, RunError
from tolerate.llm.cache import ResponseCache, cache_path, request_key
from tolerate.llm.endpoint_names import Endpoint, is_endpoint, parse_endpoint
from tolerate.llm.http import post_json
from tolerate.llm.rate_limit import RateLimiter
from tolerate.llm.retry import TransientError, retry

Floats = NDArray[np.float64]
Embedder = Callable[[Sequence[str]], Floats]  # texts -> vectors of length 1: [n, d]
LETTERS = "letters"
DIRECTIONS = 128
PLACES = 2**16  # of hashed runs
TOGETHER = 64  # texts of one request to a server


def embedder(name: str, texts: Sequence[str] = (), cache: Path | str | None = "") -> Embedder:
    """The embedder of that name; `texts`: what `letters` learns from, none for runs as they are."""
    if name in ("", LETTERS):
        return letters(texts)
    if name.startswith("hf:"):
        return encoder(name.removeprefix("hf:"))
    if is_endpoint(name):
        return Server(name, cache)
    raise OptionError(
        f'"{name}" names no embedder; expected {LETTERS}, hf:NAME-OR-FOLDER or openai:MODEL@URL'
    )


def checked_embedder(name: str) -> str:
    """An embedder's name, refused at once where it means nothing."""
    if is_endpoint(name):
        parse_endpoint(name)
    elif name not in ("", LETTERS) and not name.startswith("hf:"):
        embedder(name)
    return name


def letters(texts: Sequence[str] = (), directions: int = DIRECTIONS) -> Embedder:
    """Vectors by runs of letters; texts that share none are at right angles.

    >>> near = letters()(["the cat sat", "the cat sits", "100 euros"])
    >>> bool(near[0] @ near[1] > near[0] @ near[2])
    True
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.preprocessing import normalize

    counted = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=PLACES, alternate_sign=False, norm=None
    )
    distinct_texts = list(dict.fromkeys(texts))
    if len(distinct_texts) <= 2 * directions:  # too few to learn directions from
        return lambda queries: np.asarray(normalize(counted.transform(list(queries)).sqrt()).toarray())
    weights = TfidfTransformer(sublinear_tf=True)
    main = TruncatedSVD(directions, random_state=0)
    main.fit(weights.fit_transform(counted.transform(distinct_texts)))

    def embed(queries: Sequence[str]) -> Floats:
        projected = main.transform(weights.transform(counted.transform(list(queries))))
        return np.asarray(normalize(projected))

    return embed


def encoder(name: str) -> Embedder:
    """The mean over tokens of an encoder's last layer."""
    import torch

    try:
        from transformers import AutoModel, AutoTokenizer
    except ModuleNotFoundError:
        raise OptionError(f"hf:{name} needs transformers; try: pip install transformers") from None
    try:
        tokens, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(
            f"the encoder {name} cannot be opened: {reason}; expected a folder, or a name known to the hub"
        ) from None
    model.eval()

    def embed(queries: Sequence[str]) -> Floats:
        means = [
            _means(model, tokens, queries[first : first + TOGETHER])
            for first in range(0, len(queries), TOGETHER)
        ]
        return _unit(torch.cat(means).double().numpy())

    return embed


def _means(model: Any, tokens: Any, texts: Sequence[str]) -> Any:
    import torch

    read = tokens(list(texts), padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        last = model(**read).last_hidden_state
    real = read["attention_mask"][..., None]
    return (last * real).sum(1) / real.sum(1).clamp(min=1)


class Server:
    """Embeddings from an OpenAI-compatible server; what it ever answered is kept on the disk."""

    def __init__(self, name: str, cache: Path | str | None = "") -> None:
        self.endpoint: Endpoint = parse_endpoint(name)
        path = cache_path() if cache == "" else cache
        self.cache = None if path is None else ResponseCache(Path(path))
        self.limiter = RateLimiter(self.endpoint.rpm, self.endpoint.tpm)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Vectors of length 1, in order."""
        different = list(dict.fromkeys(texts))
        vectors: list[list[float]] = []
        for index in range(0, len(different), TOGETHER):
            vectors += self._ask(different[index : index + TOGETHER])
        place = {text: index for index, text in enumerate(different)}
        return _unit(np.array(vectors, dtype=np.float64)[[place[text] for text in texts]])

    def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        """One request, or its reply from the disk."""
        body: JsonObject = {
            "model": self.endpoint.model,
            "input": [text or " " for text in texts],
            "encoding_format": "float",
        }
        key = request_key(self.endpoint.address("embeddings"), body)
        reply = None if self.cache is None else self.cache.get(key)
        if reply is None:
            reply = retry(
                lambda: self._send(body, len(texts)),
                self.limiter,
                attempts=self.endpoint.tries,
                longest=self.endpoint.patience,
            )
            if self.cache is not None:
                self.cache.put(key, body, reply)
        return self._vectors(reply, len(texts))

    def _send(self, body: JsonObject, count: int) -> JsonValue:
        reply = post_json(
            self.endpoint.address("embeddings"),
            body,
            key=self.endpoint.secret(),
            timeout=self.endpoint.timeout,
            direct=self.endpoint.local,
        )
        self._vectors(reply, count)  # a reply that cannot be read is a failed try
        return reply

    def _vectors(self, reply: JsonValue, count: int) -> list[list[float]]:
        """The embeddings in a reply, in the order of their indices; raises TransientError."""
        try:
            data = reply["data"] if isinstance(reply, dict) else None
            if not isinstance(data, list):
                raise TypeError("no list of data")
            ordered = sorted(data, key=lambda item: int(item["index"]))
            vectors = [[float(number) for number in item["embedding"]] for item in ordered]
        except (KeyError, TypeError, ValueError) as error:
            raise TransientError(
                f"{self.endpoint.host} answered with no embeddings ({type(error).__name__}: {error})"
            ) from None
        if len(vectors) != count or len({len(vector) for vector in vectors}) != 1:
            raise TransientError(
                f"{self.endpoint.host} answered with {len(vectors)} embeddings for {count} texts"
            )
        return vectors


def _unit(vectors: Floats) -> Floats:
    """Vectors brought to length 1; one of length 0 stays."""
    if not np.isfinite(vectors).all():
        raise RunError("an embedding holds what is no number; try another encoder")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))
