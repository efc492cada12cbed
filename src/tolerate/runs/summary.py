"""The summary of a run: everything that its report shows."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.messages.catalogue import in_both
from tolerate.messages.certificates import certificate_line, certificate_text
from tolerate.records import Certificate
from tolerate.report.json_reading import LocalizedText
from tolerate.report.preparation import JobReport, PreparationReport
from tolerate.report.results import ModelReport, ProofPoint, StrategyResult
from tolerate.report.summary import CertificateReport, CopyCard, DecidedItems, ItemCard, RunSummary, Sheets
from tolerate.runs.answers import FreshAnswers, ModelSample
from tolerate.runs.plan import RunPlan
from tolerate.runs.workshop import Workshop
from tolerate.version import __version__

MAX_CARDS = 24  # of a sheet
PACKAGES = ("numpy", "scipy", "pyarrow", "torch", "scikit-learn", "transformers", "tokenizers", "peft")


@dataclass(frozen=True)
class RunResult:
    """The results of a run, from which its summary is made.

    models: each with its answers to the sample. fresh: the fresh answers of each strategy that releases, by its name.
    """

    preparation: PreparationReport
    models: Sequence[tuple[ModelReport, ModelSample]]
    strategies: Sequence[StrategyResult]
    points: Sequence[ProofPoint]
    certificate: Certificate
    fresh: Mapping[str, FreshAnswers]
    seconds: float


def summarise(plan: RunPlan, workshop: Workshop, command: str, result: RunResult) -> RunSummary:
    """Everything that the page of a run shows."""
    certificate, models = result.certificate, [model for model, _ in result.models]
    family = {model.name: model.family for model in models}
    return RunSummary(
        lang=plan.options.lang,
        job=JobReport.from_json({**plan.job_json(), "currency": plan.job.prices.unit}),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        seed=plan.options.seed,
        seconds=round(result.seconds, 1),
        versions=versions(),
        options={
            "labels": plan.labels,
            "proof": plan.proof,
            "models": plan.models,
            "refine": plan.refine,
        },
        command=command,
        preparation=result.preparation,
        anomaly=next(
            (m.metrics for m in models if m.metrics and "auroc_shuffled" in m.metrics.figures), None
        ),
        models=tuple(models),
        strategies=tuple(replace(row, family=family[row.model]) for row in result.strategies),
        best=tuple(result.points),
        certificate=CertificateReport(
            {lang: certificate_text(certificate, lang) for lang in ("en", "zh")},
            {lang: certificate_line(certificate, lang) for lang in ("en", "zh")},
            certificate.to_json(),
        ),
        sheets=sheets(plan, workshop, result),
    )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run rests on."""
    installed = {"python": platform.python_version(), "tolerate": __version__}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def sheets(plan: RunPlan, workshop: Workshop, result: RunResult) -> Sheets:
    """Fresh items as they were decided: released, held, released and wrong; and the items nearest to copies.

    Released and held are of the run's own tolerance where it releases anything, else of the strictest that does;
    wrong ones come from every tolerance, the strictest first, since a good promise leaves few of them.
    """
    points = [point for point in result.points if point.zone != "none"]
    copies = copy_cards(workshop, result.models)
    if not points:
        return Sheets(copies=copies)
    point = next((point for point in points if point.tolerance == plan.tolerance), points[-1])
    fresh = result.fresh[point.strategy]
    released, held = _released_and_held(point, fresh)
    return Sheets(
        DecidedItems(
            released=_cards(workshop, point.strategy, fresh, released[:MAX_CARDS]),
            held=_cards(workshop, point.strategy, fresh, held[:MAX_CARDS]),
            wrong=_wrong_cards(workshop, points, result.fresh),
        ),
        copies,
    )


def _released_and_held(point: ProofPoint, fresh: FreshAnswers) -> tuple[Ints, Ints]:
    """The rows that are released and those that are held."""
    mask = fresh.release_mask(point.scope, point.threshold)
    return np.flatnonzero(mask), np.flatnonzero(~mask)


def _wrong_cards(
    workshop: Workshop, points: Sequence[ProofPoint], fresh: Mapping[str, FreshAnswers]
) -> tuple[ItemCard, ...]:
    """Items that are released and wrong, each once, the strictest tolerance first."""
    cards: list[ItemCard] = []
    shown: set[tuple[str, int]] = set()
    for point in reversed(points):
        answers = fresh[point.strategy]
        released, _ = _released_and_held(point, answers)
        rows = [
            row for row in released[answers.losses[released] > 0] if (point.strategy, int(row)) not in shown
        ]
        shown |= {(point.strategy, int(row)) for row in rows}
        cards += [
            replace(card, tolerance=point.tolerance)
            for card in _cards(workshop, point.strategy, answers, rows)
        ]
        if len(cards) >= MAX_CARDS:
            break
    return tuple(cards[:MAX_CARDS])


def _cards(
    workshop: Workshop, strategy: str, fresh: FreshAnswers, rows: Sequence[int] | Ints
) -> tuple[ItemCard, ...]:
    return tuple(_card(workshop, strategy, fresh, int(row)) for row in rows)


def _card(workshop: Workshop, strategy: str, fresh: FreshAnswers, row: int) -> ItemCard:
    """One item with its request, what the check read, and the judge's score."""
    request, read, score = int(fresh.requests[row]), fresh.reads[row], float(fresh.scores[row])
    content = fresh.contents[row]
    return ItemCard(
        display=workshop.show(content, request),
        asked=workshop.request_text(request),
        read=_in_both(read),
        score=None if np.isnan(score) else score,
        strategy=strategy,
    )


def _in_both(read: str) -> LocalizedText:
    """What a check read, by language where its Chinese is known."""
    texts = in_both(read)
    return read if texts.en == texts.zh else texts._asdict()


def copy_cards(workshop: Workshop, models: Sequence[tuple[ModelReport, ModelSample]]) -> tuple[CopyCard, ...]:
    """The items nearest to a training example, beside that example; the nearest first."""
    pairs = [
        (example, model.name, sample)
        for model, sample in models
        for example in (model.metrics.nearest if model.metrics else ())
    ]
    pairs.sort(key=lambda pair: np.inf if pair[0].distance is None else pair[0].distance)
    return tuple(
        CopyCard(workshop.show(sample.shown[example.item], int(sample.requests[example.item])), example, name)
        for example, name, sample in pairs[: MAX_CARDS // 2]
    )
