"""Records of everything that the report of a run shows, with the JSON that run folders hold.

`RunSummary` is `summary.json`. Parts of it are files of their own: `prepared.json` (`PreparationReport`), `about.json`
and `metrics.json` beside each model (`ModelReport`, `ModelMetrics`), `strategies.json` (`StrategyResult`) and
`best.json` (`BestPoint`).

`to_json` writes the keys that all earlier versions wrote. `from_json` reads what may come from an earlier version, or
from a run that stopped early, or from a person: a key that is missing, null or of the wrong type is read as absent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Self, TypeAlias, TypeVar

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.modality import Display
from tolerate.stats.calibration import Bin, Calibration

LocalizedText: TypeAlias = str | Mapping[str, str]  # one text for every language, or one by language code
T = TypeVar("T")


# Reading JSON


def _object(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _items(value: object, read: Callable[[JsonObject], T | None]) -> tuple[T, ...]:
    """The objects of a JSON array, each read into a record; elements that are none are left out."""
    elements = value if isinstance(value, list | tuple) else ()
    records = (read(element) for element in elements if isinstance(element, Mapping))
    return tuple(record for record in records if record is not None)


def _optional(value: object, read: Callable[[JsonObject], T]) -> T | None:
    """The record of a JSON object; None where there is no object, or an empty one."""
    return read(value) if isinstance(value, Mapping) and value else None


def _number(value: object) -> float | None:
    """A finite number, an integer staying one; else None."""
    return (
        value if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None
    )


def _integer(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _text(value: object) -> LocalizedText:
    if isinstance(value, Mapping):
        return {str(lang): str(text) for lang, text in value.items()}
    return "" if value is None else str(value)


def _string(value: object) -> str:
    return "" if value is None else str(value)


def _texts(value: object) -> tuple[LocalizedText, ...]:
    return tuple(_text(item) for item in value) if isinstance(value, list | tuple) else ()


def _without_none(**values: JsonValue) -> dict[str, JsonValue]:
    return {key: value for key, value in values.items() if value is not None}


# Job and data


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
        prices = _object(record.get("prices"))
        return cls(
            name=_string(record.get("name")),
            title=_text(record.get("title")),
            kind=_string(record.get("kind")) or "pictures",
            tolerance=_number(record.get("tolerance")),
            confidence=_number(record.get("confidence")),
            prices=prices,
            unit=_string(prices.get("unit") or record.get("currency")),
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
        return cls(_text(record.get("name")), _number(record.get("n")), _text(record.get("use")))


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
            name=_string(record.get("name")),
            total=_number(record.get("total")),
            sha256=_string(record.get("sha256")),
            classes=tuple(map(str, classes)) if isinstance(classes, list | tuple) else (),
            split=_items(record.get("split"), DataPart.from_json),
        )


# Check and judge


@dataclass(frozen=True)
class CheckErrorReport:
    """How often the check itself was wrong on items whose verdict is known. low, high: a 95% interval of the rate."""

    tested_on: float  # items
    wrong: float | None = None
    rate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CheckReport:
    """What gave the verdicts: a trained reader, a rule, published labels, people or a person (the field `by`)."""

    name: str = ""
    trained_on: float | None = 0  # items
    rejected: float | None = 0  # items whose verdict is known that it could not read
    by: str = ""
    sentence: LocalizedText = ""
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
            "sentence": self.sentence,
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The check that `to_json` wrote."""
        tested_on = _number(record.get("tested_on"))
        wrong, rate, low, high = (_number(record.get(key)) for key in ("wrong", "rate", "low", "high"))
        return cls(
            name=_string(record.get("name")),
            trained_on=_number(record.get("trained_on")),
            rejected=_number(record.get("rejected")),
            by=_string(record.get("by")),
            sentence=_text(record.get("sentence")),
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
        return {"name": self.name, "trained_on": self.trained_on, **_without_none(auroc=self.auroc)}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The judge that `to_json` wrote."""
        return cls(
            _string(record.get("name")), _number(record.get("trained_on")), _number(record.get("auroc"))
        )


@dataclass(frozen=True)
class PreparationReport:
    """What is known of a run before anything is trained: the file `prepared.json`."""

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
            data=_optional(record.get("data"), DataReport.from_json),
            check=_optional(record.get("reader"), CheckReport.from_json),
            judge=_optional(record.get("judge"), JudgeReport.from_json),
            assumptions=_texts(record.get("assumptions")),
            limits=_texts(record.get("limits")),
        )


# Models


@dataclass(frozen=True)
class NearestExample:
    """The training example nearest to one of a model's items; twin: what a page shows of it."""

    item: int
    twin: Display | None
    distance: float | None
    copy: bool  # near enough to be called a copy

    def to_json(self) -> JsonObject:
        """The row of "nearest"."""
        twin = self.twin.image if self.twin else None
        return {"item": self.item, "twin": twin, "distance": self.distance, "copy": self.copy}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The example that `to_json` wrote."""
        return cls(
            item=_integer(record.get("item")) or 0,
            twin=Display.from_json({"png": record.get("twin")}),
            distance=_number(record.get("distance")),
            copy=bool(record.get("copy")),
        )


@dataclass(frozen=True)
class ModelMetrics:
    """Quality of a model's plain items: figures by name, and the training examples nearest to its items."""

    figures: Mapping[str, float | None] = field(default_factory=dict)
    nearest: tuple[NearestExample, ...] = ()

    def to_json(self) -> JsonObject:
        """The content of `metrics.json`."""
        nearest: JsonObject = (
            {"nearest": [example.to_json() for example in self.nearest]} if self.nearest else {}
        )
        return {**self.figures, **nearest}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The metrics that `to_json` wrote."""
        figures = {key: _number(value) for key, value in record.items() if key != "nearest"}
        return cls(figures, _items(record.get("nearest"), NearestExample.from_json))


@dataclass(frozen=True)
class TrainingFinding:
    """What training noticed, and what to try."""

    what: LocalizedText
    advice: LocalizedText = ""

    def to_json(self) -> JsonObject:
        """The row of "findings"."""
        return {"what": self.what, "try": self.advice}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The finding that `to_json` wrote."""
        return cls(_text(record.get("what")), _text(record.get("try")))


Curve: TypeAlias = tuple[tuple[float, float | None], ...]  # (step, value); None where there is no number
MODEL_KEYS = {"name", "title", "paper", "family", "curve", "findings", "metrics"}


@dataclass(frozen=True)
class ModelReport:
    """One model of a run: the file `about.json`, and its metrics once they are measured.

    figures: what is counted of the model itself, by name: parameters, learning (parameters that were trained), steps,
    seconds, and its rate, such as draws_per_second. Null where it does not apply.
    """

    name: str = ""
    title: LocalizedText = ""
    paper: str = ""
    family: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    curve: Mapping[str, Curve] = field(default_factory=dict)  # losses by name
    findings: tuple[TrainingFinding, ...] = ()
    metrics: ModelMetrics | None = None

    @property
    def shown_name(self) -> LocalizedText:
        """The title, or the name where there is no title."""
        return self.title or self.name

    def to_json(self) -> JsonObject:
        """The content of `about.json`; in a summary the key "metrics" too."""
        return {
            "name": self.name,
            "title": self.title,
            "paper": self.paper,
            "family": self.family,
            **self.figures,
            "curve": {name: [list(point) for point in points] for name, points in self.curve.items()},
            "findings": [finding.to_json() for finding in self.findings],
            **({"metrics": self.metrics.to_json()} if self.metrics else {}),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The model that `to_json` wrote."""
        return cls(
            name=_string(record.get("name")),
            title=_text(record.get("title")),
            paper=_string(record.get("paper")),
            family=_string(record.get("family")),
            figures={key: _number(value) for key, value in record.items() if key not in MODEL_KEYS},
            curve={name: _curve(points) for name, points in _object(record.get("curve")).items()},
            findings=_items(record.get("findings"), TrainingFinding.from_json),
            metrics=_optional(record.get("metrics"), ModelMetrics.from_json),
        )


def _curve(points: object) -> Curve:
    if not isinstance(points, list | tuple):
        return ()
    pairs = [point for point in points if isinstance(point, list | tuple) and len(point) == 2]
    return tuple((step, _number(value)) for step, value in pairs if _number(step) is not None)


# Strategies


@dataclass(frozen=True)
class StrategyPoint:
    """What a strategy may release at one tolerance, and what an accepted item then costs."""

    tolerance: float
    scope: str = ""  # "all", "above" a threshold or "nothing"
    threshold: float | None = None
    coverage: float | None = None
    cost: float | None = None

    def to_json(self) -> JsonObject:
        """The row of "points"."""
        return {
            "tolerance": self.tolerance,
            "scope": self.scope,
            "threshold": self.threshold,
            "coverage": self.coverage,
            "cost": self.cost,
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The point that `to_json` wrote; a tolerance that is missing is NaN."""
        tolerance = _number(record.get("tolerance"))
        return cls(
            tolerance=nan if tolerance is None else tolerance,
            scope=_string(record.get("scope")),
            threshold=_number(record.get("threshold")),
            coverage=_number(record.get("coverage")),
            cost=_number(record.get("cost")),
        )


@dataclass(frozen=True)
class StrategyResult:
    """A strategy with what its sample proves at each tolerance: a row of `strategies.json`."""

    id: str
    model: str = ""
    refine: str = ""
    calibration: Calibration | None = None  # of a score that claims to be a probability
    candidates: float | None = None
    compute_seconds: float | None = None  # core-seconds to answer one request
    labels: float | None = None
    risk: float | None = None  # share wrong if everything were released
    points: tuple[StrategyPoint, ...] = ()
    family: str = ""  # of its model; known once the model is trained

    def to_json(self) -> JsonObject:
        """The row of `strategies.json`; in a summary the key "family" too."""
        calibration: JsonObject = {"calibration": self.calibration.to_json()} if self.calibration else {}
        return {
            "id": self.id,
            "model": self.model,
            "refine": self.refine,
            **calibration,
            "candidates": self.candidates,
            "compute_seconds": self.compute_seconds,
            "labels": self.labels,
            "risk": self.risk,
            "points": [point.to_json() for point in self.points],
            **({"family": self.family} if self.family else {}),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The strategy that `to_json` wrote."""
        return cls(
            id=_string(record.get("id")),
            model=_string(record.get("model")),
            refine=_string(record.get("refine")),
            calibration=_optional(record.get("calibration"), _calibration),
            candidates=_number(record.get("candidates")),
            compute_seconds=_number(record.get("compute_seconds")),
            labels=_number(record.get("labels")),
            risk=_number(record.get("risk")),
            points=_items(record.get("points"), StrategyPoint.from_json),
            family=_string(record.get("family")),
        )


def _calibration(record: JsonObject) -> Calibration:
    claimed, right, error, plain = (_float(record.get(key)) for key in ("claimed", "right", "error", "plain"))
    bins = _items(record.get("bins"), _bin)
    return Calibration(_integer(record.get("items")) or 0, claimed, right, error, plain, bins)


def _bin(record: JsonObject) -> Bin:
    claimed, right, low, high = (_float(record.get(key)) for key in ("claimed", "right", "low", "high"))
    return Bin(_integer(record.get("items")) or 0, claimed, right, low, high)


def _float(value: object) -> float:
    number = _number(value)
    return nan if number is None else number


@dataclass(frozen=True)
class BestPoint(StrategyPoint):
    """The cheapest strategy at one tolerance: a row of `best.json`.

    strategy: its id; "people" or empty where nothing may be released. zone: "auto" where (nearly) everything is
    released, "part", or "none".
    """

    strategy: str = ""
    zone: str = ""

    def to_json(self) -> JsonObject:
        """The row of `best.json`."""
        return {**super().to_json(), "strategy": self.strategy, "zone": self.zone}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The point that `to_json` wrote."""
        point = StrategyPoint.from_json(record)
        strategy, zone = _string(record.get("strategy")), _string(record.get("zone"))
        return cls(point.tolerance, point.scope, point.threshold, point.coverage, point.cost, strategy, zone)


@dataclass(frozen=True)
class ProofResult:
    """What a promise came to on fresh requests. low, high: a 95% interval of the risk."""

    requests: float | None = None
    released: float | None = None
    wrong: float | None = None  # of the released
    risk: float | None = None  # mean loss of the released; None where nothing was released
    low: float | None = None
    high: float | None = None

    def to_json(self) -> JsonObject:
        """The value of "proof"."""
        return {
            "requests": self.requests,
            "released": self.released,
            "wrong": self.wrong,
            "risk": self.risk,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The proof that `to_json` wrote."""
        return cls(
            *(_number(record.get(key)) for key in ("requests", "released", "wrong", "risk", "low", "high"))
        )


@dataclass(frozen=True)
class ProofPoint(BestPoint):
    """A `BestPoint` after its promise was tried on fresh requests; proof is None where nothing may be released."""

    proof: ProofResult | None = None

    @classmethod
    def of(cls, best: BestPoint, proof: ProofResult | None) -> Self:
        """The best point of a tolerance together with its proof."""
        point = best.tolerance, best.scope, best.threshold, best.coverage, best.cost
        return cls(*point, best.strategy, best.zone, proof)

    def to_json(self) -> JsonObject:
        """The row of "best" in a summary."""
        return {**super().to_json(), "proof": self.proof.to_json() if self.proof else None}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The point that `to_json` wrote."""
        return cls.of(BestPoint.from_json(record), _optional(record.get("proof"), ProofResult.from_json))


def _best(record: JsonObject) -> BestPoint:
    return ProofPoint.from_json(record) if "proof" in record else BestPoint.from_json(record)


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
        return cls(_text(record.get("sentence")), _text(record.get("brief")), _object(record.get("json")))


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
            **_without_none(asked=self.asked, read=self.read),
            "score": self.score,
            "strategy": self.strategy,
            **_without_none(tolerance=self.tolerance),
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> Self | None:
        """The card that `to_json` wrote; None where a page may not show its item."""
        display, asked, read = Display.from_json(record), record.get("asked"), record.get("read")
        if display is None:
            return None
        return cls(
            display=display,
            asked=None if asked is None else _text(asked),
            read=None if "read" not in record else "" if read == -1 else _text(read),
            score=_number(record.get("score")),
            strategy=_string(record.get("strategy")),
            tolerance=_number(record.get("tolerance")),
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
        return cls(display, NearestExample.from_json(record), _string(record.get("model")))


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
        released, held, wrong = (_items(record.get(name), ItemCard.from_json) for name in names)
        decided = DecidedItems(released, held, wrong) if any(name in record for name in names) else None
        return cls(decided, _items(record.get("copies"), CopyCard.from_json))


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
            lang=_string(record.get("lang")) or "en",
            job=JobReport.from_json(_object(record.get("job"))),
            created=_string(record.get("created")),
            version=_string(record.get("version")),
            seed=_integer(record.get("seed")),
            seconds=_number(record.get("seconds")),
            versions=_object(record.get("versions")),
            options=_object(record.get("options")),
            command=_string(record.get("command")),
            preparation=PreparationReport.from_json(record),
            anomaly=_optional(record.get("anomaly"), ModelMetrics.from_json),
            models=_items(record.get("models"), ModelReport.from_json),
            strategies=_items(record.get("strategies"), StrategyResult.from_json),
            best=_items(record.get("best"), _best),
            certificate=_optional(record.get("certificate"), CertificateReport.from_json),
            sheets=Sheets.from_json(_object(record.get("sheets"))),
        )
