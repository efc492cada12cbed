"""Records of what a run measured: models, strategies, the cheapest at each tolerance; with the JSON of run folders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Self, TypeAlias

from tolerate.base.json_types import JsonObject
from tolerate.modality import Display
from tolerate.report.json_reading import (
    LocalizedText,
    float_of,
    integer_of,
    number_of,
    object_of,
    record_of,
    records_of,
    string_of,
    text_of,
)
from tolerate.stats.calibration import Bin, Calibration

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
            item=integer_of(record.get("item")) or 0,
            twin=Display.from_json({"png": record.get("twin")}),
            distance=number_of(record.get("distance")),
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
        figures = {key: number_of(value) for key, value in record.items() if key != "nearest"}
        return cls(figures, records_of(record.get("nearest"), NearestExample.from_json))


@dataclass(frozen=True)
class TrainingFinding:
    """A failure that training diagnosed, and what to try."""

    what: LocalizedText
    advice: LocalizedText = ""

    def to_json(self) -> JsonObject:
        """The row of "findings"."""
        return {"what": self.what, "try": self.advice}

    @classmethod
    def from_json(cls, record: JsonObject) -> Self:
        """The finding that `to_json` wrote."""
        return cls(text_of(record.get("what")), text_of(record.get("try")))


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
            name=string_of(record.get("name")),
            title=text_of(record.get("title")),
            paper=string_of(record.get("paper")),
            family=string_of(record.get("family")),
            figures={key: number_of(value) for key, value in record.items() if key not in MODEL_KEYS},
            curve={name: _curve(points) for name, points in object_of(record.get("curve")).items()},
            findings=records_of(record.get("findings"), TrainingFinding.from_json),
            metrics=record_of(record.get("metrics"), ModelMetrics.from_json),
        )


def _curve(points: object) -> Curve:
    if not isinstance(points, list | tuple):
        return ()
    pairs = [point for point in points if isinstance(point, list | tuple) and len(point) == 2]
    return tuple((step, number_of(value)) for step, value in pairs if number_of(step) is not None)


# Strategies


@dataclass(frozen=True)
class StrategyPoint:
    """A strategy at one tolerance: the share that it may release, and the cost of an accepted item."""

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
        tolerance = number_of(record.get("tolerance"))
        return cls(
            tolerance=nan if tolerance is None else tolerance,
            scope=string_of(record.get("scope")),
            threshold=number_of(record.get("threshold")),
            coverage=number_of(record.get("coverage")),
            cost=number_of(record.get("cost")),
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
            id=string_of(record.get("id")),
            model=string_of(record.get("model")),
            refine=string_of(record.get("refine")),
            calibration=record_of(record.get("calibration"), _calibration),
            candidates=number_of(record.get("candidates")),
            compute_seconds=number_of(record.get("compute_seconds")),
            labels=number_of(record.get("labels")),
            risk=number_of(record.get("risk")),
            points=records_of(record.get("points"), StrategyPoint.from_json),
            family=string_of(record.get("family")),
        )


def _calibration(record: JsonObject) -> Calibration:
    claimed, right, error, plain = (
        float_of(record.get(key)) for key in ("claimed", "right", "error", "plain")
    )
    bins = records_of(record.get("bins"), _bin)
    return Calibration(integer_of(record.get("items")) or 0, claimed, right, error, plain, bins)


def _bin(record: JsonObject) -> Bin:
    claimed, right, low, high = (float_of(record.get(key)) for key in ("claimed", "right", "low", "high"))
    return Bin(integer_of(record.get("items")) or 0, claimed, right, low, high)


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
        strategy, zone = string_of(record.get("strategy")), string_of(record.get("zone"))
        return cls(point.tolerance, point.scope, point.threshold, point.coverage, point.cost, strategy, zone)


@dataclass(frozen=True)
class ProofResult:
    """The risk of the certified strategy on fresh requests. low, high: a 95% interval of it."""

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
            *(number_of(record.get(key)) for key in ("requests", "released", "wrong", "risk", "low", "high"))
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
        return cls.of(BestPoint.from_json(record), record_of(record.get("proof"), ProofResult.from_json))


def read_best(record: JsonObject) -> BestPoint:
    """The best point of a tolerance, with its proof where the run came to one."""
    return ProofPoint.from_json(record) if "proof" in record else BestPoint.from_json(record)
