"""Records of what a run knows before it trains: its job, data, check and judge, with their JSON in run folders."""

from dataclasses import dataclass, field
from typing import Self

from tolerate.base.json_types import JsonObject
from tolerate.messages.catalogue import stored
from tolerate.records import Message
from tolerate.report.json_reading import (
    LocalizedText,
    number_of,
    object_of,
    record_of,
    records_of,
    string_of,
    text_of,
    texts_of,
    without_none,
)


@dataclass(frozen=True)
class JobReport:
    """The job as its run resolved it. `record` is the JSON of the whole job, of which a page needs these fields."""

    name: str = ""
    title: LocalizedText = ""
    kind: str = "pictures"  # what is made: pictures, texts, ...
    tolerance: float | None = None
    confidence: float | None = None
    prices: JsonObject = field(default_factory=dict)
    unit: str = ""  # of costs
    record: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """The JSON of the whole job."""
        return self.record

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The job in JSON: that of `records.Job`, with the key "currency"."""
        prices = object_of(record.get("prices"))
        return cls(
            name=string_of(record.get("name")),
            title=text_of(record.get("title")),
            kind=string_of(record.get("kind")) or "pictures",
            tolerance=number_of(record.get("tolerance")),
            confidence=number_of(record.get("confidence")),
            prices=prices,
            unit=string_of(prices.get("unit") or record.get("currency")),
            record=record,
        )


@dataclass(frozen=True)
class DataPart:
    """One part of the real data and what it is used for."""

    name: LocalizedText
    n: float | None  # items
    use: LocalizedText = ""

    def to_json(self) -> JsonObject:
        """The row of "split"."""
        return {"name": self.name, "n": self.n, "use": self.use}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The part that `to_json` wrote."""
        return cls(text_of(record.get("name")), number_of(record.get("n")), text_of(record.get("use")))


@dataclass(frozen=True)
class DataReport:
    """The real data of a run and how it was divided."""

    name: str = ""
    total: float | None = None  # items
    sha256: str = ""
    classes: tuple[str, ...] = ()
    split: tuple[DataPart, ...] = ()

    def to_json(self) -> JsonObject:
        """The value of "data"."""
        return {
            "name": self.name,
            "total": self.total,
            "sha256": self.sha256,
            "classes": list(self.classes),
            "split": [part.to_json() for part in self.split],
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The data that `to_json` wrote."""
        classes = record.get("classes")
        return cls(
            name=string_of(record.get("name")),
            total=number_of(record.get("total")),
            sha256=string_of(record.get("sha256")),
            classes=tuple(map(str, classes)) if isinstance(classes, list | tuple) else (),
            split=records_of(record.get("split"), DataPart.from_json),
        )


@dataclass(frozen=True)
class CheckErrorReport:
    """The check's own error on items whose verdict is known. low, high: a 95% interval of the rate."""

    tested_on: float  # items
    wrong: float | None = None
    rate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CheckReport:
    """The source of the verdicts: a trained reader, a rule, published labels, people or a person (the field `by`)."""

    name: str = ""
    trained_on: float | None = 0  # items
    rejected: float | None = 0  # items whose verdict is known that it could not read
    by: str = ""
    sentence: str = ""  # a `Message` where it can be said in Chinese too
    error: CheckErrorReport | None = None  # None where it was not measured

    def to_json(self) -> JsonObject:
        """The value of "reader"."""
        error = self.error
        return {
            "name": self.name,
            "trained_on": self.trained_on,
            **({"tested_on": error.tested_on, "wrong": error.wrong} if error else {}),
            "rejected": self.rejected,
            **({"rate": error.rate, "low": error.low, "high": error.high} if error else {}),
            "by": self.by,
            "sentence": str(self.sentence),
            **without_none(message=stored(self.sentence)),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The check that `to_json` wrote."""
        tested_on = number_of(record.get("tested_on"))
        wrong, rate, low, high = (number_of(record.get(key)) for key in ("wrong", "rate", "low", "high"))
        return cls(
            name=string_of(record.get("name")),
            trained_on=number_of(record.get("trained_on")),
            rejected=number_of(record.get("rejected")),
            by=string_of(record.get("by")),
            sentence=Message.from_json(string_of(record.get("sentence")), record.get("message")),
            error=None if tested_on is None else CheckErrorReport(tested_on, wrong, rate, low, high),
        )


@dataclass(frozen=True)
class JudgeReport:
    """The judge that ranks candidates."""

    name: str = ""
    trained_on: float | None = 0  # items
    auroc: float | None = None

    def to_json(self) -> JsonObject:
        """The value of "judge"."""
        return {"name": self.name, "trained_on": self.trained_on, **without_none(auroc=self.auroc)}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The judge that `to_json` wrote."""
        return cls(
            string_of(record.get("name")), number_of(record.get("trained_on")), number_of(record.get("auroc"))
        )


@dataclass(frozen=True)
class PreparationReport:
    """The report of a run's data, check and judge before anything is trained: the file `prepared.json`."""

    data: DataReport | None = None
    check: CheckReport | None = None
    judge: JudgeReport | None = None
    assumptions: tuple[LocalizedText, ...] = ()
    limits: tuple[LocalizedText, ...] = ()

    def to_json(self) -> JsonObject:
        """The content of `prepared.json`."""
        return {
            "data": self.data.to_json() if self.data else None,
            "reader": self.check.to_json() if self.check else None,
            "judge": self.judge.to_json() if self.judge else None,
            "assumptions": list(self.assumptions),
            "limits": list(self.limits),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The preparation that `to_json` wrote."""
        return cls(
            data=record_of(record.get("data"), DataReport.from_json),
            check=record_of(record.get("reader"), CheckReport.from_json),
            judge=record_of(record.get("judge"), JudgeReport.from_json),
            assumptions=texts_of(record.get("assumptions")),
            limits=texts_of(record.get("limits")),
        )
