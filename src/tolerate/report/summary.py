"""Records of everything that the report of a run shows, with the JSON that run folders hold.

`RunSummary` is `summary.json`. Parts of it are files of their own: `prepared.json` (`PreparationReport`), `about.json`
and `metrics.json` beside each model (`ModelReport`, `ModelMetrics`), `strategies.json` (`StrategyResult`) and
`best.json` (`BestPoint`).

`to_json` writes the keys that all earlier versions wrote. `from_json` reads what may come from an earlier version, or
from a run that stopped early, or from a person: a key that is missing, null or of the wrong type is read as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.modality import Display
from tolerate.report.json_reading import (
    LocalizedText,
    integer_of,
    number_of,
    object_of,
    record_of,
    records_of,
    string_of,
    text_of,
    without_none,
)
from tolerate.report.preparation import (
    CheckErrorReport,
    CheckReport,
    DataPart,
    DataReport,
    JobReport,
    JudgeReport,
    PreparationReport,
)
from tolerate.report.results import (
    BestPoint,
    Curve,
    ModelMetrics,
    ModelReport,
    NearestExample,
    ProofPoint,
    ProofResult,
    StrategyPoint,
    StrategyResult,
    TrainingFinding,
    read_best,
)

__all__ = [
    "BestPoint",
    "CertificateReport",
    "CheckErrorReport",
    "CheckReport",
    "CopyCard",
    "Curve",
    "DataPart",
    "DataReport",
    "DecidedItems",
    "ItemCard",
    "JobReport",
    "JudgeReport",
    "LocalizedText",
    "ModelMetrics",
    "ModelReport",
    "NearestExample",
    "PreparationReport",
    "ProofPoint",
    "ProofResult",
    "RunSummary",
    "Sheets",
    "StrategyPoint",
    "StrategyResult",
    "TrainingFinding",
    "as_summary",
]

# The certificate and the sheets of items


@dataclass(frozen=True)
class CertificateReport:
    """A certificate in words and as its JSON record."""

    sentence: LocalizedText = ""
    brief: LocalizedText = ""
    record: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """The value of "certificate"."""
        return {"sentence": self.sentence, "brief": self.brief, "json": self.record}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The certificate that `to_json` wrote."""
        return cls(
            text_of(record.get("sentence")), text_of(record.get("brief")), object_of(record.get("json"))
        )


@dataclass(frozen=True)
class ItemCard:
    """One item as it was decided, with what was asked for, what the check read, and the judge's score.

    read: empty where the check recognised nothing; None where nothing was read at all.
    """

    display: Display
    asked: LocalizedText | None = None
    read: LocalizedText | None = None
    score: float | None = None
    strategy: str = ""
    tolerance: float | None = None  # at which it was released, in the sheet of wrong ones

    def to_json(self) -> JsonObject:
        """The card of a sheet."""
        return {
            **self.display.to_json(),
            **without_none(asked=self.asked, read=self.read),
            "score": self.score,
            "strategy": self.strategy,
            **without_none(tolerance=self.tolerance),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self | None:
        """The card that `to_json` wrote; None where a page may not show its item."""
        display, asked, read = Display.from_json(record), record.get("asked"), record.get("read")
        if display is None:
            return None
        return cls(
            display=display,
            asked=None if asked is None else text_of(asked),
            read=None if "read" not in record else "" if read == -1 else text_of(read),
            score=number_of(record.get("score")),
            strategy=string_of(record.get("strategy")),
            tolerance=number_of(record.get("tolerance")),
        )


@dataclass(frozen=True)
class CopyCard:
    """One of the items nearest to a training example, beside that example."""

    display: Display
    example: NearestExample
    model: str = ""

    def to_json(self) -> JsonObject:
        """The card of the sheet of copies."""
        return {**self.display.to_json(), **self.example.to_json(), "model": self.model}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self | None:
        """The card that `to_json` wrote; None where a page may not show its item."""
        display = Display.from_json(record)
        if display is None:
            return None
        return cls(display, NearestExample.from_json(record), string_of(record.get("model")))


@dataclass(frozen=True)
class DecidedItems:
    """Fresh items as they were decided."""

    released: tuple[ItemCard, ...] = ()
    held: tuple[ItemCard, ...] = ()
    wrong: tuple[ItemCard, ...] = ()  # released, but wrong


@dataclass(frozen=True)
class Sheets:
    """The sheets of items that a page shows. decided: None where no tolerance allows a release."""

    decided: DecidedItems | None = None
    copies: tuple[CopyCard, ...] = ()

    def to_json(self) -> JsonObject:
        """The value of "sheets"."""
        decided = self.decided
        return {
            **({"released": [card.to_json() for card in decided.released]} if decided else {}),
            **({"held": [card.to_json() for card in decided.held]} if decided else {}),
            **({"wrong": [card.to_json() for card in decided.wrong]} if decided else {}),
            "copies": [card.to_json() for card in self.copies],
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The sheets that `to_json` wrote."""
        names = ("released", "held", "wrong")
        released, held, wrong = (records_of(record.get(name), ItemCard.from_json) for name in names)
        decided = DecidedItems(released, held, wrong) if any(name in record for name in names) else None
        return cls(decided, records_of(record.get("copies"), CopyCard.from_json))


# The run


@dataclass(frozen=True)
class RunSummary:
    """Everything that the report of a run shows: the file `summary.json`."""

    lang: str = "en"
    job: JobReport = field(default_factory=JobReport)
    created: str = ""  # ISO date and time, UTC
    version: str = ""  # of tolerate
    seed: int | None = None
    seconds: float | None = None
    versions: Mapping[str, JsonValue] = field(default_factory=dict)  # by name of the software
    options: JsonObject = field(default_factory=dict)
    command: str = ""
    preparation: PreparationReport = field(default_factory=PreparationReport)
    anomaly: ModelMetrics | None = None  # of the first model that detects anomalies
    models: tuple[ModelReport, ...] = ()
    strategies: tuple[StrategyResult, ...] = ()
    best: tuple[BestPoint, ...] = ()  # by tolerance; `ProofPoint` once fresh requests were answered
    certificate: CertificateReport | None = None
    sheets: Sheets = field(default_factory=Sheets)

    def to_json(self) -> JsonObject:
        """The content of `summary.json`."""
        return {
            "lang": self.lang,
            "job": self.job.to_json(),
            "created": self.created,
            "version": self.version,
            "seed": self.seed,
            "seconds": self.seconds,
            "versions": self.versions,
            "options": self.options,
            "command": self.command,
            **self.preparation.to_json(),
            "anomaly": self.anomaly.to_json() if self.anomaly else None,
            "models": [model.to_json() for model in self.models],
            "strategies": [strategy.to_json() for strategy in self.strategies],
            "best": [point.to_json() for point in self.best],
            "certificate": self.certificate.to_json() if self.certificate else None,
            "sheets": self.sheets.to_json(),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The summary in the JSON of a `summary.json`."""
        return cls(
            lang=string_of(record.get("lang")) or "en",
            job=JobReport.from_json(object_of(record.get("job"))),
            created=string_of(record.get("created")),
            version=string_of(record.get("version")),
            seed=integer_of(record.get("seed")),
            seconds=number_of(record.get("seconds")),
            versions=object_of(record.get("versions")),
            options=object_of(record.get("options")),
            command=string_of(record.get("command")),
            preparation=PreparationReport.from_json(record),
            anomaly=record_of(record.get("anomaly"), ModelMetrics.from_json),
            models=records_of(record.get("models"), ModelReport.from_json),
            strategies=records_of(record.get("strategies"), StrategyResult.from_json),
            best=records_of(record.get("best"), read_best),
            certificate=record_of(record.get("certificate"), CertificateReport.from_json),
            sheets=Sheets.from_json(object_of(record.get("sheets"))),
        )


def as_summary(summary: RunSummary | JsonObject) -> RunSummary:
    """A summary from the JSON of a `summary.json`; a `RunSummary` is returned as it is."""
    return summary if isinstance(summary, RunSummary) else RunSummary.from_json(summary)
