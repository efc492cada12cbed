"""Texts as vectors of length 1; texts of similar meaning have similar directions.

letters              runs of two to four letters, weighted by rarity, their main directions (Deerwester et al. 1990);
                     learned from the job's own texts in seconds, nothing is downloaded
hf:NAME-OR-FOLDER    the mean of an encoder's last layer (Reimers and Gurevych 2019), by transformers
openai:MODEL@URL     the embeddings of an OpenAI-compatible server, each requested once
"""

from collections.abc import Callable, Sequence
from pathlib import Path

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
HASH_BUCKETS = 2**16  # for runs of letters
BATCH_TEXTS = 64  # of one request to a server


def embedder(name: str, texts: Sequence[str] = (), cache: Path | str | None = "") -> Embedder:
    """The embedder of that name. texts: those that `letters` learns weights and directions from, if any."""
    if name in ("", LETTERS):
        return letter_embedder(texts)
    if name.startswith("hf:"):
        return encoder_embedder(name.removeprefix("hf:"))
    if is_endpoint(name):
        return EmbeddingServer(name, cache)
    raise OptionError(
        f'"{name}" names no embedder; expected {LETTERS}, hf:NAME-OR-FOLDER or openai:MODEL@URL'
    )


def checked_embedder(name: str) -> str:
    """The name itself; raises OptionError if it names no embedder, without loading one."""
    if is_endpoint(name):
        parse_endpoint(name)
    elif name not in ("", LETTERS) and not name.startswith("hf:"):
        embedder(name)
    return name


def letter_embedder(texts: Sequence[str] = (), directions: int = DIRECTIONS) -> Embedder:
    """Vectors of hashed runs of letters; texts that share none are orthogonal.

    >>> near = letter_embedder()(["the cat sat", "the cat sits", "100 euros"])
    >>> bool(near[0] @ near[1] > near[0] @ near[2])
    True
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.preprocessing import normalize

    counted = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=HASH_BUCKETS, alternate_sign=False, norm=None
    )
    distinct_texts = list(dict.fromkeys(texts))
    if len(distinct_texts) <= 2 * directions:  # too few to learn directions from
        return lambda queries: np.asarray(normalize(counted.transform(list(queries)).sqrt()).toarray())
    weights = TfidfTransformer(sublinear_tf=True)
    svd = TruncatedSVD(directions, random_state=0)
    svd.fit(weights.fit_transform(counted.transform(distinct_texts)))

    def embed(queries: Sequence[str]) -> Floats:
        projected = svd.transform(weights.transform(counted.transform(list(queries))))
        return np.asarray(normalize(projected))

    return embed


def encoder_embedder(name: str) -> Embedder:
    """The mean over tokens of an encoder's last layer."""
    import torch

    try:
        from transformers import AutoModel, AutoTokenizer
    except ModuleNotFoundError:
        raise OptionError(f"hf:{name} needs transformers; try: pip install transformers") from None
    try:
        tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(
            f"the encoder {name} cannot be opened: {reason}; expected a folder, or a name known to the hub"
        ) from None
    model.eval()

    def mean_states(texts: Sequence[str]) -> torch.Tensor:
        inputs = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        mean: torch.Tensor = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return mean

    def embed(queries: Sequence[str]) -> Floats:
        starts = range(0, len(queries), BATCH_TEXTS)
        means = [mean_states(queries[start : start + BATCH_TEXTS]) for start in starts]
        return _unit_length(torch.cat(means).double().numpy())

    return embed


class EmbeddingServer:
    """Embeddings from an OpenAI-compatible server; its responses are cached on the disk."""

    def __init__(self, name: str, cache: Path | str | None = "") -> None:
        self.endpoint: Endpoint = parse_endpoint(name)
        path = cache_path() if cache == "" else cache
        self.cache = None if path is None else ResponseCache(Path(path))
        self.limiter = RateLimiter(self.endpoint.rpm, self.endpoint.tpm)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Vectors of length 1, in order."""
        different = list(dict.fromkeys(texts))
        vectors: list[list[float]] = []
        for index in range(0, len(different), BATCH_TEXTS):
            vectors += self._ask(different[index : index + BATCH_TEXTS])
        indices = {text: index for index, text in enumerate(different)}
        return _unit_length(np.array(vectors, dtype=np.float64)[[indices[text] for text in texts]])

    def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of one request, whose reply may be in the cache."""
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
        self._vectors(reply, count)  # raises TransientError here, so that it is retried
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


def _unit_length(vectors: Floats) -> Floats:
    """Vectors scaled to length 1; one of length 0 stays."""
    if not np.isfinite(vectors).all():
        raise RunError("an embedding holds NaN or infinity; try another encoder")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))
