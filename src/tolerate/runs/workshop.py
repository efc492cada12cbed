"""The interface between a job and its run: data, models, judge and check.

A job names the function that opens its workshop; it is called as `open(plan, folder, reporter)`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.base.registry import attribute
from tolerate.checks import Verdicts
from tolerate.modality import Content, Display, Modality, Span, find_modality
from tolerate.refine import parse
from tolerate.report.preparation import CheckReport, DataReport, JudgeReport, PreparationReport
from tolerate.report.results import ModelMetrics, ModelReport
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter


@dataclass(frozen=True)
class Candidates:
    """The candidates that a model made for each request, before refining.

    contents: [requests, k, ...]; scores: [requests, k], the judge's; copies: [requests, k], how far each is beyond
    being a copy of an example that the model was trained on (0 and below: a copy).
    """

    contents: Contents
    scores: Floats
    copies: Floats


class Workshop(ABC):
    """Data, models, judge and check of one job. Methods that are not abstract have a default that fits most jobs."""

    def __init__(self, plan: RunPlan, folder: Path, reporter: ProgressReporter) -> None:
        self.plan, self.folder, self.reporter = plan, folder, reporter

    @property
    def modality(self) -> Modality:
        """The kind of content that the job makes."""
        return find_modality(self.plan.job.modality)

    # What the report says of the job

    def prepare(self) -> PreparationReport:
        """Read the data; data, check and judge for the report."""
        return PreparationReport(self.data_report(), self.check_report(), JudgeReport(self.plan.job.judge))

    @abstractmethod
    def data_report(self) -> DataReport:
        """The real data: name, classes, hash, split."""

    @abstractmethod
    def check_report(self) -> CheckReport:
        """The check and what is known of its own error."""

    # Requests and models

    @abstractmethod
    def requests(self, n: int, seed: int) -> Ints:
        """Draw n requests independently."""

    @abstractmethod
    def request_text(self, request: int) -> str:
        """A request in words."""

    @abstractmethod
    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        """Train one model into its folder, and report on it."""

    @abstractmethod
    def generate(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """Several candidates for each request."""

    @abstractmethod
    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to answer one request, counted from operations, so that they are equal on every machine."""

    # Refining and checking

    def candidate_count(self, refine: str) -> int:
        """The number of candidates that a refining needs."""
        return parse(refine).candidates

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """Choose a candidate for each request: its index (-1 for none) and its score (NaN for none)."""
        choice = parse(refine).choose(candidates.scores, candidates.copies)
        return choice.index, choice.scores

    def scoring_seconds(self, refine: str) -> float:
        """Core-seconds that the score of one request costs beside `compute_seconds`."""
        return 0.0

    def score_is_probability(self, refine: str) -> bool:
        """Whether the score of this refining claims to be the probability that an item is right."""
        return False

    @abstractmethod
    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        """Check whether each item is what was asked for: the losses that the certificate rests on."""

    def score(self, contents: Contents, requests: Ints) -> Floats:
        """The judge's opinion of items that came from elsewhere, higher is better; NaN where it has none."""
        return np.full(len(contents), np.nan)

    def open_items(self, paths: Sequence[Path]) -> Contents:
        """Items from files."""
        return np.array([self.modality.open_file(path) for path in paths])

    def measure(self, model: str, contents: Contents, requests: Ints, verdicts: Verdicts) -> ModelMetrics:
        """Quality metrics of plain items."""
        return ModelMetrics({"as_requested": float(1 - verdicts.losses.mean())})

    # What people see

    def wrong_parts(self, content: Content, request: int) -> Sequence[Span]:
        """The spans of an item that are wrong, in modalities that have spans."""
        return ()

    def show(self, content: Content, request: int) -> Display:
        """The display of an item on a page."""
        return self.modality.show(content, self.wrong_parts(content, request))


WorkshopOpener = Callable[[RunPlan, Path, ProgressReporter], Workshop]


def open_workshop(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> Workshop:
    """The workshop of a plan's job."""
    opener: WorkshopOpener = attribute(plan.job.workshop)
    return opener(plan, folder, reporter)
