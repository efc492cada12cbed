"""A job from data to report: prepare, train, draw, refine, check, certify, prove, write it down.

What a strategy may release is certified on one sample of requests; what the promise is worth is then shown on fresh
requests, drawn after every threshold was fixed. Each step leaves a file in the run's folder, so that a killed run
continues where it stopped and ends with the same result.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.base.files import slug, write_whole
from tolerate.base.folder import RunFolder
from tolerate.base.json_types import JsonObject
from tolerate.base.workers import ProgressCallback, WorkerPool, WorkerTask
from tolerate.checks.against_people import compare_with_person
from tolerate.data import tables
from tolerate.errors import OptionError, RunError
from tolerate.messages.catalogue import joined, message
from tolerate.modality import Content
from tolerate.records import Certificate, Decision, Floats, Job
from tolerate.report import write_report
from tolerate.report.preparation import PreparationReport
from tolerate.report.results import BestPoint, ModelMetrics, ModelReport, ProofPoint, StrategyResult
from tolerate.report.summary import RunSummary
from tolerate.runs.answers import FreshAnswers, ModelSample, answer_requests
from tolerate.runs.options import RunOptions
from tolerate.runs.people import People, Question
from tolerate.runs.plan import RunPlan, plan_run, seed_for
from tolerate.runs.progress import ProgressReporter, SilentReporter, TrainingReporter
from tolerate.runs.strategies import (
    Strategy,
    best_points,
    evaluate,
    main_strategy,
    prove,
    releasing_strategies,
    strategies_of,
)
from tolerate.runs.summary import RunResult, summarise
from tolerate.runs.workshop import Workshop, open_workshop
from tolerate.stats.certify.threshold import certify
from tolerate.version import __version__

TRAINING_SHARE = 0.7  # of the progress of a model's stage


def run(
    job: Job,
    path: Path,
    options: RunOptions | None = None,
    reporter: ProgressReporter | None = None,
    command: str = "",
    people: People | None = None,
) -> RunSummary:
    """Run a job in a folder and return its summary, the one that `report.html` shows.

    people: asks people for their verdicts, where the option `review` is set; `tolerate.service.local.ask_at_desk`
    does so at a desk on this machine.

    On a finished folder nothing is done; on an interrupted one the run continues. Raises RunError if the folder holds
    another run, OptionError if an option is unusable.
    """
    options, reporter = options or RunOptions(), reporter or SilentReporter()
    plan = plan_run(job, options)
    if options.review and people is None:
        raise OptionError("review=True needs people=, such as tolerate.service.local.ask_at_desk")
    folder = RunFolder(path)
    try:
        if folder.open(plan.result_keys(), {"command": command, "version": __version__, "made": _now()}):
            return RunSummary.from_json(folder.once("summary.json", _missing_summary))
        workshop = open_workshop(plan, path, reporter)
        return _Run(plan, folder, workshop, reporter, command, people).finish()
    finally:
        folder.close()


def train_one(plan: RunPlan, path: Path, model: str, tell: ProgressCallback) -> ModelReport:
    """Train one model of a run and report on it. Runs in a worker."""
    reporter = TrainingReporter(model, tell)
    return open_workshop(plan, path, reporter).train(model, path / "models" / slug(model), reporter)


class JsonWritable(Protocol):
    """A record that knows its JSON."""

    def to_json(self) -> JsonObject:
        """The record as JSON."""


Record = TypeVar("Record", bound=JsonWritable)


@dataclass(frozen=True)
class _Run:
    """One run at work: each method is a stage that leaves its file."""

    plan: RunPlan
    folder: RunFolder
    workshop: Workshop
    reporter: ProgressReporter
    command: str
    people: People | None = None

    def finish(self) -> RunSummary:
        """Run all stages in order; a stage whose files exist is read from them."""
        start = time.monotonic()
        preparation = self._preparation()
        with WorkerPool(self.plan.options.workers) as pool:
            trainings = {name: self._start_training(pool, name) for name in self.plan.models}
            models = [self._model(name, trainings[name]) for name in self.plan.models]
        self.reporter.stage("certify")
        strategies = self._strategies()
        best = self._best(strategies)
        main = main_strategy(self.plan, strategies, best)
        certificate = self._certificate(main)
        self.reporter.stage("prove")
        fresh = {strategy.name: self._fresh(strategy) for strategy in releasing_strategies(self.plan, best)}
        points = [_with_proof(point, fresh) for point in best]
        self._write_items(main, certificate, fresh[main.name] if main.name in fresh else self._fresh(main))
        self.reporter.stage("report")
        seconds = time.monotonic() - start
        result = RunResult(preparation, models, strategies, points, certificate, fresh, seconds)
        summary = self._once(
            "summary.json",
            lambda: summarise(self.plan, self.workshop, self.command, result),
            RunSummary.from_json,
        )
        write_report(summary, self.folder.path)
        self.folder.finish()
        return summary

    def _once(self, name: str, make: Callable[[], Record], read: Callable[[JsonObject], Record]) -> Record:
        """The record of a step: from its file if it exists, otherwise made and written."""
        return read(self.folder.once(name, lambda: make().to_json()))

    def _preparation(self) -> PreparationReport:
        return self._once("prepared.json", self.workshop.prepare, PreparationReport.from_json)

    # Models

    def _model_folder(self, name: str) -> Path:
        return self.folder.path / "models" / slug(name)

    def _start_training(self, pool: WorkerPool, name: str) -> WorkerTask[ModelReport] | None:
        """The training of one model under way; None if it is finished."""
        if (self._model_folder(name) / "about.json").exists():
            return None
        return pool.submit(train_one, self.plan, self.folder.path, name)

    def _model(self, name: str, training: WorkerTask[ModelReport] | None) -> tuple[ModelReport, ModelSample]:
        """Wait for one model's training, let it answer the sample of requests, measure it."""
        self.reporter.stage(name)
        report = self._once(
            f"models/{slug(name)}/about.json",
            lambda: training.result(self._report_training) if training else _missing_file(),
            ModelReport.from_json,
        )
        self.reporter.progress(TRAINING_SHARE, f"{self.plan.labels:,} requests")
        sample = self._sample(name)
        metrics = self._once(
            f"models/{slug(name)}/metrics.json",
            lambda: self._measure(name, sample),
            ModelMetrics.from_json,
        )
        return replace(report, metrics=metrics), sample

    def _report_training(self, share: float, text: str) -> None:
        self.reporter.progress(share * TRAINING_SHARE, text)

    def _sample(self, model: str) -> ModelSample:
        """The sample's answers by every refining of one model."""
        name = f"drawn/{slug(model)}.npz"
        return ModelSample.from_arrays(
            self.folder.once_arrays(name, lambda: self._draw_sample(model).to_arrays())
        )

    def _draw_sample(self, model: str) -> ModelSample:
        requests = self.workshop.requests(self.plan.labels, self._seed("sample"))
        seed = self._seed("sample", model)
        folder, refines = self._model_folder(model), self.plan.refine
        return ModelSample.of(
            requests, answer_requests(self.workshop, model, folder, requests, refines, seed)
        )

    def _measure(self, model: str, sample: ModelSample) -> ModelMetrics:
        requests = sample.requests[: len(sample.shown)]
        return self.workshop.measure(model, sample.shown, requests, sample.shown_verdicts)

    # Strategies and the certificate

    def _strategies(self) -> list[StrategyResult]:
        """Every strategy with what its sample proves at each tolerance, all of them at once."""
        rows = self.folder.once(
            "strategies.json",
            lambda: [self._strategy(strategy).to_json() for strategy in strategies_of(self.plan)],
        )
        return [StrategyResult.from_json(row) for row in rows]

    def _strategy(self, strategy: Strategy) -> StrategyResult:
        folder = self._model_folder(strategy.model)
        return evaluate(strategy, self.plan, self.workshop, folder, *self._losses_and_scores(strategy))

    def _losses_and_scores(self, strategy: Strategy) -> tuple[Floats, Floats]:
        sample = self._sample(strategy.model)
        return sample.losses[strategy.refine], sample.scores[strategy.refine]

    def _best(self, strategies: Sequence[StrategyResult]) -> list[BestPoint]:
        rows = self.folder.once(
            "best.json",
            lambda: [point.to_json() for point in best_points(strategies, self.plan.tolerances)],
        )
        return [BestPoint.from_json(row) for row in rows]

    def _certificate(self, main: Strategy) -> Certificate:
        """The run's promise, beside the labels it rests on: `tolerate verify` recomputes it."""
        path = self.folder.path / "certificate.json"
        if not path.exists():
            labels, review = self.folder.path / "labels.parquet", self.plan.options.review
            losses_by = self._label_by_person(main, labels) if review else self._label_by_check(main, labels)
            certificate = certify(
                tables.read(labels, loss="loss", score="score", cluster="request"),
                tolerance=self.plan.tolerance,
                confidence=self.plan.confidence,
                comparisons=1 if review else len(strategies_of(self.plan)),
            )
            write_whole(path, replace(certificate, losses_by=losses_by, made=_now()).dumps().encode())
        return Certificate.loads(path.read_text("utf-8"))

    def _label_by_check(self, main: Strategy, path: Path) -> str:
        """Write the sample of the main strategy with the check's losses; return who gave them."""
        sample = self._sample(main.model)
        self._write_labels(path, sample.requests, *self._losses_and_scores(main))
        check = self._preparation().check
        return check.sentence if check else ""

    def _label_by_person(self, main: Strategy, path: Path) -> str:
        """Write fresh answers of the main strategy with the losses that people gave; return who they are.

        The sample is new, so that choosing the strategy by the check's map costs nothing: one strategy is tested, at
        the full confidence.
        """
        answers = self._fresh(main, "review", self.plan.options.reviews)
        questions = [
            self._question(content, self.workshop.request_text(int(request)))
            for content, request in zip(answers.contents, answers.requests, strict=True)
        ]
        self.reporter.stage("review")
        assert self.people is not None  # run() refuses the option otherwise
        verdicts = self.people(questions, self.folder.path)
        losses = np.array(verdicts.losses)
        self._write_labels(path, answers.requests, losses, answers.scores)
        check = self._preparation().check
        agreement = compare_with_person(
            check.name if check else "", answers.losses, losses, self._losses_and_scores(main)[0]
        )
        return joined([verdicts.by, message("people.unmeasured", more=agreement)])

    def _question(self, content: Content, request_text: str) -> Question:
        saved = self.workshop.modality.save(content)
        if isinstance(saved, str):
            return Question(request_text, text=saved)
        return Question(request_text, media=saved)

    def _write_labels(self, path: Path, requests: Ints, losses: Floats, scores: Floats) -> None:
        texts = [self.workshop.request_text(int(request)) for request in requests]
        tables.write(
            path, {"request": np.arange(len(losses)), "asked": texts, "score": scores, "loss": losses}
        )

    # Fresh requests

    def _fresh(self, strategy: Strategy, purpose: str = "fresh", count: int = 0) -> FreshAnswers:
        """Fresh requests answered by a strategy, drawn after every threshold was fixed."""
        name, count = f"{purpose}/{slug(strategy.name)}.npz", count or self.plan.proof
        return FreshAnswers.from_arrays(
            self.folder.once_arrays(name, lambda: self._draw_fresh(strategy, purpose, count).to_arrays())
        )

    def _draw_fresh(self, strategy: Strategy, purpose: str, count: int) -> FreshAnswers:
        self.reporter.progress(0.5, f"{count} fresh requests for {strategy.name}")
        requests = self.workshop.requests(count, self._seed(purpose))
        seed, folder = self._seed(purpose, strategy.name), self._model_folder(strategy.model)
        answers = answer_requests(self.workshop, strategy.model, folder, requests, [strategy.refine], seed)
        answer = answers[strategy.refine]
        return FreshAnswers(requests, answer.contents, answer.losses, answer.scores, answer.reads)

    def _write_items(self, main: Strategy, certificate: Certificate, fresh: FreshAnswers) -> None:
        """Write the fresh items of the main strategy with what was decided of each, contents included."""
        mask = fresh.release_mask(certificate.scope, certificate.threshold)
        decisions = [str(Decision.RELEASE if release else Decision.REVIEW) for release in mask]
        tables.write(
            self.folder.path / "items.parquet",
            {
                "item": np.arange(len(decisions)),
                "asked": [self.workshop.request_text(int(request)) for request in fresh.requests],
                "strategy": [main.name] * len(decisions),
                "score": fresh.scores,
                "decision": decisions,
                "read": list(fresh.reads),
                "loss": fresh.losses,
                "content": [self.workshop.modality.save(content) for content in fresh.contents],
            },
        )

    def _seed(self, *purpose: str) -> int:
        return seed_for(self.plan.options.seed, *purpose)


def _with_proof(point: BestPoint, fresh: Mapping[str, FreshAnswers]) -> ProofPoint:
    return ProofPoint.of(point, None if point.zone == "none" else prove(point, fresh[point.strategy]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _missing_summary() -> NoReturn:
    raise RunError(
        "the folder has DONE but no summary.json; start again with --fresh or choose another --out"
    )


def _missing_file() -> NoReturn:
    raise RunError("a file of the run is missing; start again with --fresh or choose another --out")
