"""The workshop of text jobs: writers learn from texts, a verifier scores what they write, the job's check counts.

The check is the job's own (see `task`). The verifier is fitted to candidates for requests of its own, with the check's
verdicts; it only ranks. What people see of an item is its text, with the wrong parts marked.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.base.files import read_json, slug, to_json, write_whole
from tolerate.base.workers import is_first_process
from tolerate.checks import Verdicts
from tolerate.checks.texts.own_error import own_error_sentence
from tolerate.jobs.texts.drafts.drafting import FINER_TOKENS, Drafter, Drafts
from tolerate.jobs.texts.drafts.pools import PoolBuilder, TextCandidates
from tolerate.jobs.texts.drafts.prompted_models import PromptedModels, is_prompted
from tolerate.jobs.texts.drafts.scores import PROBABILITIES, TextScores
from tolerate.jobs.texts.drafts.training_texts import TrainingTexts
from tolerate.jobs.texts.drafts.verifier import Verifier, fit_verifier
from tolerate.jobs.texts.figures import (
    MAX_TEXTS,
    held_out_fit,
    overlap_with_references,
    repetition,
    slot_errors,
)
from tolerate.jobs.texts.options import TextOptions
from tolerate.jobs.texts.task import TextTask, TextVerdict
from tolerate.llm.model_names import is_pretrained_name
from tolerate.messages.catalogue import joined, message
from tolerate.messages.texts import ASSUMPTIONS, LIMITS, USES
from tolerate.modality import Content, Span
from tolerate.models.writers.registry import writer
from tolerate.refine.texts.refining import parse_text
from tolerate.report.preparation import (
    CheckErrorReport,
    CheckReport,
    DataPart,
    DataReport,
    JudgeReport,
    PreparationReport,
)
from tolerate.report.results import ModelMetrics, ModelReport, TrainingFinding
from tolerate.runs.history import loss_curves
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.workshop import Candidates, Workshop

VERIFIER = "verifier.json"
VERIFIER_REQUESTS = 500  # that the verifier learns from
EXPENSIVE_VERIFIER_REQUESTS = 100  # the same where each costs money, or much time
SPEED_REQUESTS = 64  # on which the speed of a writer is measured
SEEDED_TEXTS = 1000  # of each kind, that the check's own error is measured on
HELD_OUT_PAIRS = 300  # that perplexity is measured on
TRAINING_SHARE = 0.9  # of the progress; the rest is the verifier's


class TextWorkshop(Workshop):
    """Reads the data, trains writers, lets them write, refines and checks."""

    def __init__(
        self,
        plan: RunPlan,
        folder: Path,
        reporter: ProgressReporter,
        open_task: Callable[[], TextTask],
    ) -> None:
        super().__init__(plan, folder, reporter)
        self._open_task = open_task
        self.options = plan.options.modality_options(TextOptions)
        self.refinings = {name: parse_text(name) for name in plan.refine}
        self.writers = {name: writer(name) for name in plan.models if not is_prompted(name)}
        self.prompted = PromptedModels(reporter, lambda: FINER_TOKENS * self.task.limit)
        self.texts = TrainingTexts(lambda: self.task, plan.options.seed, self.options.dedupe)
        self.drafter = Drafter(lambda: self.task, self.writers, self.prompted, self.texts)
        refinings = self.refinings.values()
        self.scores = TextScores(plan, folder, reporter, self.drafter, refinings, lambda: self.task)
        self.pools = PoolBuilder(lambda: self.task, self.texts, self.scores, refinings)

    @cached_property
    def task(self) -> TextTask:
        """The job's data and check."""
        return self._open_task()

    # Reports

    def prepare(self) -> PreparationReport:
        """Data, split, check and judge."""
        self.reporter.stage("prepare")
        return PreparationReport(
            self.data_report(),
            self.check_report(),
            JudgeReport(self.plan.job.judge, VERIFIER_REQUESTS),
            (*ASSUMPTIONS, *self.task.assumptions),
            tuple(LIMITS),
        )

    def data_report(self) -> DataReport:
        """The data and how much of it serves each purpose."""
        sizes = self.task.sizes
        return DataReport(
            self.task.name,
            sum(sizes.values()),
            self.task.sha256,
            split=tuple(DataPart(name, n, USES[name]) for name, n in sizes.items()),
        )

    def check_report(self) -> CheckReport:
        """The check and its own error on texts whose verdict is known."""
        error = self.task.own_error(SEEDED_TEXTS, self.plan.options.seed + 1)
        error_report = (
            CheckErrorReport(error.tested, error.wrong, error.rate, *error.interval())
            if error.tested
            else None
        )
        return CheckReport(
            name=self.plan.job.check,
            by="rule",
            sentence=joined([message("check.by_rule", check=self.plan.job.check), own_error_sentence(error)]),
            error=error_report,
        )

    # Requests

    def requests(self, n: int, seed: int) -> Ints:
        """Draw n requests independently."""
        return self.task.requests(n, seed)

    def request_text(self, request: int) -> str:
        """A request in words."""
        return self.task.prompt(request)

    # Writers

    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        """Train one writer on its part of the texts, then its verifier on requests of its own."""
        if is_prompted(model):
            return self._introduce(model, folder)
        from tolerate.models.training.plan import TrainingOptions
        from tolerate.models.writers.writing import teach_writer, texts_per_second

        plan, options = self.writers[model], self.plan.options
        pairs = self.texts.pairs
        trained = teach_writer(
            plan.entry.path,
            pairs,
            folder,
            TrainingOptions(
                steps=options.steps or self._job_steps(model) or (None if options.budget else plan.steps),
                budget=options.budget,
                batch=plan.batch,
                seed=options.seed,
                device=options.device,
                board=options.board,
            ),
            tokens="characters" if self.task.reads_characters and plan.tokens == "words" else plan.tokens,
            model=self.task.model_options.get(model, plan.options),
            learn_prompts=self.task.learns_prompts,
            on_progress=lambda progress: reporter.progress(TRAINING_SHARE * progress.share, str(progress)),
        )
        if is_first_process():
            reporter.progress(TRAINING_SHARE, "the verifier learns which of its texts are right")
            expensive = is_pretrained_name(model)
            self._fit_verifier(model, folder, EXPENSIVE_VERIFIER_REQUESTS if expensive else VERIFIER_REQUESTS)
        prompts = self.drafter.sample_prompts(SPEED_REQUESTS)
        weights = list(trained.model.parameters())
        rate = texts_per_second(folder, prompts, self.drafter.decoding_of(model))
        return ModelReport(
            name=model,
            title=plan.entry.title,
            paper=plan.entry.paper,
            family=plan.entry.family,
            figures={
                "parameters": sum(weight.numel() for weight in weights),
                "learning": sum(weight.numel() for weight in weights if weight.requires_grad),
                "steps": trained.steps,
                "seconds": round(trained.elapsed, 2),
                "texts_per_second": round(rate, 1),
            },
            curve=loss_curves(trained.history),
            findings=tuple(TrainingFinding(finding.saw, finding.advice) for finding in trained.findings),
        )

    def _job_steps(self, model: str) -> int | None:
        """The job's own number of steps for a writer, where the writer's name sets no other."""
        name, _, settings = model.partition("#")
        return None if "steps=" in settings else self.plan.job.steps.get(name)

    def _introduce(self, model: str, folder: Path) -> ModelReport:
        """Prompt a model with examples in place of training; its verifier learns from fewer requests."""
        prompt = self.drafter.sample_prompts(1)[0]
        report = self.prompted.introduce(model, prompt, 1, self.plan.options.seed, self.texts.few_shot)
        self._fit_verifier(model, folder, EXPENSIVE_VERIFIER_REQUESTS)
        return report

    def _fit_verifier(self, model: str, folder: Path, count: int) -> None:
        """Write candidates for the verifier's own requests, check them, and fit the verifier to the verdicts."""
        seed = self.plan.options.seed
        requests = self.task.requests(count, seed + 2, "judge")
        drafts = self.drafter.write(model, folder, requests, self.max_candidates, seed + 3)
        wrong = np.array(
            [
                [self.task.check(text, request).wrong for text in row]
                for row, request in zip(drafts.texts, requests, strict=True)
            ]
        )
        verifier = fit_verifier(drafts.means, drafts.least, self.pools.meanings(drafts.texts), wrong)
        write_whole(folder / VERIFIER, to_json(verifier.to_json()))

    @property
    def max_candidates(self) -> int:
        """The most candidates that any refining asks for."""
        return max(refining.candidates for refining in self.refinings.values())

    # Candidates and refining

    def draft(self, model: str, folder: Path, requests: Ints, k: int, seed: int) -> Drafts:
        """Write k drafts for each request."""
        return self.drafter.write(model, folder, requests, k, seed)

    def generate(
        self, model: str, folder: Path, requests: Ints, candidates: int, seed: int
    ) -> TextCandidates:
        """Candidates for each request, repaired ones behind the others, with what the refinings need to know."""
        drafts = self.draft(model, folder, requests, candidates, seed)
        record = read_json(folder / VERIFIER, "the verifier of a trained writer")
        return self.pools.build(drafts, requests, Verifier.from_json(record))

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """The candidate that answers each request, and its score."""
        assert isinstance(candidates, TextCandidates)  # of generate()
        return self.refinings[refine].choose(candidates.pool)

    def candidate_count(self, refine: str) -> int:
        """The number of candidates that a refining makes for a request."""
        return self.refinings[refine].candidates

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to write the candidates of one request, counted in operations."""
        return self.drafter.seconds(model, folder, candidates)

    def scoring_seconds(self, refine: str) -> float:
        """Core-seconds that the score of a request costs, beside its writing."""
        return self.scores.seconds(self.refinings[refine])

    def score_is_probability(self, refine: str) -> bool:
        """Whether the score of this refining claims to be the probability that a text is right."""
        by = self.refinings[refine].by
        return by in PROBABILITIES or (not by and self.plan.job.judge == "verifier")

    # Checking

    def verdicts(self, contents: Contents, requests: Ints) -> list[TextVerdict]:
        """The check's verdict on each text."""
        return [self.task.check(str(text), request) for text, request in zip(contents, requests, strict=True)]

    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        """The losses by the job's own check."""
        verdicts = self.verdicts(contents, requests)
        losses = np.array([float(verdict.wrong) for verdict in verdicts])
        return Verdicts(losses, [verdict.read for verdict in verdicts])

    def score(self, contents: Contents, requests: Ints) -> Floats:
        """The rule's opinion of texts that came from elsewhere: 1 where it lets them pass."""
        pairs = zip(contents, requests, strict=True)
        return np.array([float(self.task.passes_rule(str(text), request)) for text, request in pairs])

    # Figures

    def measure(self, model: str, contents: Contents, requests: Ints, verdicts: Verdicts) -> ModelMetrics:
        """Quality of plain texts."""
        texts = [str(text) for text in contents]
        figures: dict[str, float | None] = {
            "as_requested": float(1 - verdicts.losses.mean()),
            **slot_errors(self.verdicts(contents, requests)),
            **overlap_with_references(texts, [self.task.references(request) for request in requests]),
            **repetition(texts),
        }
        if not is_prompted(model):
            figures["longest_copy"] = self.texts.mean_longest_copy(texts[:MAX_TEXTS]) if texts else None
            figures |= self._held_out_fit(model)
        return ModelMetrics(figures)

    def _held_out_fit(self, model: str) -> dict[str, float]:
        pairs = self.task.held_out_pairs(HELD_OUT_PAIRS, self.plan.options.seed + 4)
        return held_out_fit(
            self.folder / "models" / slug(model),
            [(pair.prompt, pair.answer) for pair in pairs],
            [answer for _, answer in self.texts.pairs],
        )

    # What people see

    def wrong_parts(self, content: Content, request: int) -> Sequence[Span]:
        """The parts of a text that the check calls wrong."""
        return self.task.check(str(content), request).marks
