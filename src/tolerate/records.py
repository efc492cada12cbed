"""The records that travel between the packages: frozen, and to and from JSON without loss."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import DataError, hint

Floats = NDArray[np.float64]
Scope = Literal["all", "above", "nothing"]
Parameter: TypeAlias = "str | int | float | Message | Sequence[str] | None"


class Decision(StrEnum):
    """The decision about one item: release, escalate or review."""

    RELEASE = "release"
    ESCALATE = "escalate"
    REVIEW = "review"


class Message(str):
    """An English sentence together with its key and parameters in the catalogue, which says it in other languages.

    It is equal to its text, so that whoever reads sentences needs to know nothing of keys. `messages.catalogue`
    makes and renders it.
    """

    key: str
    params: Mapping[str, Parameter]

    def __new__(cls, text: str, key: str, params: Mapping[str, Parameter]) -> Self:
        sentence = super().__new__(cls, text)
        sentence.key, sentence.params = key, params
        return sentence

    def __reduce__(self) -> "tuple[type[Message], tuple[str, str, Mapping[str, Parameter]]]":
        return type(self), (str(self), self.key, self.params)

    def to_json(self) -> dict[str, JsonValue]:
        """Key and parameters, to be stored beside the text; a parameter that is a sentence carries its text itself."""
        return {
            "key": self.key,
            "params": {name: _parameter_json(value) for name, value in self.params.items()},
        }

    @classmethod
    def from_json(cls, text: str, record: object) -> str:
        """The sentence whose text and `to_json` were stored; the bare text if the record holds no key."""
        if not isinstance(record, Mapping) or not isinstance(record.get("key"), str):
            return text
        params = record.get("params")
        pairs = params.items() if isinstance(params, Mapping) else ()
        return cls(text, record["key"], {str(name): _parameter(value) for name, value in pairs})


def _parameter_json(value: object) -> JsonValue:
    if isinstance(value, Message):
        return {"text": str(value), **value.to_json()}
    if isinstance(value, list | tuple):
        return [_parameter_json(part) for part in value]
    plain = _plain(value)
    return plain if isinstance(plain, str | int | float | None) else str(plain)


def _parameter(value: object) -> Parameter:
    if isinstance(value, list | tuple):
        return [_sentence(part) for part in value]
    return value if isinstance(value, int | float | None) else _sentence(value)


def _sentence(value: object) -> str:
    return Message.from_json(str(value.get("text", "")), value) if isinstance(value, Mapping) else str(value)


class JsonRecord:
    """Base of the frozen dataclasses below: conversion to and from JSON; unknown fields are refused by name."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values; infinite and missing numbers become null."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The record that `to_json` wrote."""
        names = [field.name for field in fields(cls)]
        for key in record:
            if key not in names:
                raise DataError(f'{cls.__name__} has no field "{key}". {hint(key, names)}')
        try:
            return cls(**{key: _frozen(value) for key, value in record.items()})
        except TypeError as error:
            raise DataError(f"this is no complete {cls.__name__}: {error}") from None

    def dumps(self) -> str:
        """The record as one indented JSON text."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False)

    @classmethod
    def loads(cls, text: str) -> Self:
        """The record in a JSON text."""
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                f"expected the JSON of a {cls.__name__}, got text that is not JSON: {error}"
            ) from None
        if not isinstance(record, dict):
            raise DataError(f"expected the JSON object of a {cls.__name__}, got {type(record).__name__}")
        return cls.from_json(record)


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Message):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Table(JsonRecord):
    """Labelled items, one a row: what `certify` works on. Made by `tolerate.read` or from arrays.

    losses: [n] in [0, 1], 0 fine to 1 unacceptable.
    scores: [n], higher is better; NaN where missing; None if there are none.
    clusters: [n] integer codes of what was sampled together; None if every row stands alone.
    slices: [n] names of the part a row belongs to, or None.
    weights: [n] importance weights (1 / chance of having been labelled, up to a factor), or None.
    """

    losses: Floats
    scores: Floats | None = None
    clusters: NDArray[np.int64] | None = None
    slices: NDArray[np.generic] | None = None
    weights: Floats | None = None
    names: dict[str, str] = field(default_factory=dict)  # role -> column, e.g. {"loss": "error"}
    sha256: str | None = None  # of the file's bytes
    more_losses: dict[str, Floats] = field(default_factory=dict)  # by column, beside `losses`; [n] each

    @property
    def losses_by_name(self) -> dict[str, Floats]:
        """Every column of losses by its name; a single one is called "loss"."""
        first = self.names.get("loss", "loss") if self.more_losses else "loss"
        return {first: self.losses, **self.more_losses}

    def __len__(self) -> int:
        return len(self.losses)


@dataclass(frozen=True)
class Certificate(JsonRecord):
    """A promise about what is released, with its evidence and its assumptions.

    The promise: with probability at least `confidence` over the draw of the labelled sample, the
    risk of what the rule releases is at most `tolerance`. The rule: `scope` "all" releases every
    item, "above" those whose score is at least `threshold`, "nothing" none of them.
    """

    tolerance: float
    confidence: float
    scope: Scope
    threshold: float | None  # lowest released score; None unless scope is "above"
    coverage: float  # share of the labelled sample that the rule releases, 0 to 1
    risk_bound: float | None  # what is proven of the risk, <= tolerance; None if nothing is released
    risk_seen: float | None  # mean loss of the released part of the sample
    labels: int  # labelled items used
    clusters: int  # independent sampling units among them
    released: int  # labelled items that the rule releases
    method: str  # name and source of the test
    assumptions: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()  # what would be needed, when little or nothing is proven
    slices: tuple[dict[str, Any], ...] = ()  # one line a slice: name, labels, released, risk_seen, risk_bound
    risks: tuple[
        dict[str, Any], ...
    ] = ()  # one line a loss, if several: name, tolerance, risk_seen, risk_bound
    losses_by: str = ""  # who gave the losses, and what is known of their own error
    names: dict[str, str] = field(default_factory=dict)  # role -> column in the table
    options: dict[str, Any] = field(default_factory=dict)  # what `verify` needs to recompute it
    data_sha256: str | None = None
    made: str = ""  # ISO date and time, UTC
    version: str = ""  # of tolerate

    def decide(self, score: float | None = None) -> Decision:
        """Release or send to review; a missing score is never above a threshold."""
        if self.scope == "all":
            return Decision.RELEASE
        if self.scope == "nothing" or score is None or self.threshold is None:
            return Decision.REVIEW
        # In double precision: NumPy would round the threshold to a float32 score's own.
        return Decision.RELEASE if float(score) >= self.threshold else Decision.REVIEW

    @property
    def proven(self) -> bool:
        """Whether anything may be released."""
        return self.scope != "nothing"

    def to_json(self) -> dict[str, Any]:
        """The certificate as plain JSON values, with the keys of its sentences beside their English text."""
        record = super().to_json()
        messages = {
            "assumptions": _stored(self.assumptions),
            "advice": _stored(self.advice),
            "losses_by": self.losses_by.to_json() if isinstance(self.losses_by, Message) else None,
        }
        return {**record, "messages": messages} if any(messages.values()) else record

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The certificate that `to_json` wrote, by this version or an older one, which stored no keys."""
        messages = record.get("messages")
        if messages is None:
            return super().from_json(record)
        if not isinstance(messages, Mapping):
            raise DataError(f"expected a JSON object as messages of a {cls.__name__}, got {messages!r}")
        texts = {key: value for key, value in record.items() if key != "messages"}
        for name in ("assumptions", "advice"):
            texts[name] = _restored(texts.get(name), messages.get(name))
        texts["losses_by"] = Message.from_json(str(texts.get("losses_by", "")), messages.get("losses_by"))
        return super().from_json(texts)

    def __str__(self) -> str:
        # The one import upwards: records hold no prose.
        from tolerate.messages.certificates import certificate_text

        return certificate_text(self, "en")


def _stored(sentences: Sequence[str]) -> list[JsonObject | None]:
    """Key and parameters of each sentence, null for a sentence of the user's own; empty if there are none at all."""
    if not any(isinstance(sentence, Message) for sentence in sentences):
        return []
    return [sentence.to_json() if isinstance(sentence, Message) else None for sentence in sentences]


def _restored(texts: JsonValue, stored: JsonValue) -> list[str]:
    sentences = list(texts) if isinstance(texts, list | tuple) else []
    records = list(stored) if isinstance(stored, list | tuple) else []
    records += [None] * (len(sentences) - len(records))
    return [Message.from_json(str(text), record) for text, record in zip(sentences, records, strict=False)]


@dataclass(frozen=True)
class Prices(JsonRecord):
    """Prices of work, in one unit (such as cents an item, or dollars for a million items)."""

    compute: float  # of a second on one core
    review: float  # of a person's look at one item, putting it right included
    unit: str = "cent"

    @classmethod
    def per_million(cls, *, review_seconds: float, dollars_an_hour: float) -> Self:
        """Dollars for a million items: a core at 4 cents an hour, and a person's time for each item.

        >>> Prices.per_million(review_seconds=60, dollars_an_hour=40).review
        666666.6666666666
        """
        return cls(
            compute=1e6 * 0.04 / 3600,
            review=1e6 * review_seconds * dollars_an_hour / 3600,
            unit="$/million",
        )


@dataclass(frozen=True)
class Job(JsonRecord):
    """A job: what to make from what data, how it is checked, how wrong it may be, and what work costs."""

    name: str
    title: dict[str, str]  # by language
    workshop: str  # "package.module:attribute" of the function that opens the job's data, models and checks
    tolerance: float
    confidence: float
    tolerances: tuple[float, ...]  # of the tolerance map
    models: tuple[str, ...]
    refine: tuple[str, ...]  # refining specifications, each makes a strategy of every model
    labels: int  # requests answered and checked for the certificates
    proof: int  # fresh requests that show what the promise is worth
    prices: Prices
    check: str = "reader"  # decides which items are wrong
    judge: str = "network"  # ranks items
    needs_data: bool = True
    example: str = ""  # a command that runs it
    modality: str = "pictures"  # what is made; the key "kind" in JSON
    steps: dict[str, int] = field(
        default_factory=dict
    )  # of training, by model, where the default does not fit
    options: tuple[str, ...] = ()  # those of its modality that it takes; not in JSON

    def to_json(self) -> dict[str, JsonValue]:
        """The job as plain JSON values, as run folders and `tolerate jobs --json` have it."""
        record = {**super().to_json(), "prices": self.prices.to_json()}
        del record["options"]
        return {"kind" if key == "modality" else key: value for key, value in record.items()}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The job that `to_json` wrote."""
        values = {"modality" if key == "kind" else key: value for key, value in record.items()}
        job = super().from_json(values)
        prices = values.get("prices")
        return replace(job, prices=Prices.from_json(prices)) if isinstance(prices, Mapping) else job
