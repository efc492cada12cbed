"""A fake kind of job, small and fast: items are numbers, right if they are what was asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.checks import Verdicts
from tolerate.modality import Display, Modality, Pictures, data_uri
from tolerate.records import Job, Prices
from tolerate.report.preparation import (
    CheckErrorReport,
    CheckReport,
    DataReport,
    JudgeReport,
    PreparationReport,
)
from tolerate.report.results import ModelReport
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.workshop import Candidates, Workshop

WRONG = {"sloppy": 0.3, "fair": 0.04, "sound": 0.002}  # share of wrong items by model
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
JOB = Job(
    name="numbers",
    title={"en": "Say a number", "zh": "说一个数"},
    workshop="tests.support.fakes:Numbers",
    tolerance=0.05,
    confidence=0.95,
    tolerances=(0.2, 0.1, 0.05, 0.02, 0.01, 0.001),
    models=tuple(WRONG),
    refine=("plain", "best-of-4"),
    labels=1000,
    proof=500,
    prices=Prices(compute=0.001, review=5.0),
    needs_data=False,
    example="tolerate run numbers",
)
SENTENCE = {"en": "read by a perfect reader", "zh": "由完美的读图器判定"}


class Numbers(Workshop):
    """The workshop of numbers: a model is an error rate, its judge sees most errors."""

    @property
    def modality(self) -> Modality:
        return replace(
            Pictures, save=lambda number: PIXEL, show=lambda number, marks: Display(data_uri(PIXEL))
        )

    def prepare(self) -> PreparationReport:
        judge = JudgeReport("a glance", 0, 0.9)
        return PreparationReport(self.data_report(), self.check_report(), judge, (SENTENCE,), (SENTENCE,))

    def data_report(self) -> DataReport:
        return DataReport("numbers", 10, "0" * 64, tuple("0123456789"))

    def check_report(self) -> CheckReport:
        error = CheckErrorReport(tested_on=10, wrong=0, rate=0.0, low=0.0, high=0.3)
        return CheckReport("equality", by="reader", sentence=SENTENCE["en"], error=error)

    def requests(self, n: int, seed: int) -> Ints:
        return np.random.default_rng(seed).integers(0, 10, n)

    def request_text(self, request: int) -> str:
        return str(request)

    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        reporter.progress(0.5, "thinking")
        figures = {"parameters": 1, "steps": 1, "seconds": 0.1, "draws_per_second": 1e6}
        return ModelReport(model, model, family="fake", figures=figures, curve={"loss": ((0, 1.0), (1, 0.5))})

    def generate(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        rng = np.random.default_rng(seed)
        wrong = rng.random((len(requests), candidates)) < WRONG[model]
        contents = (requests[:, None] + wrong) % 10
        scores = rng.random(wrong.shape) - np.where(wrong, 0.8, 0.0) * (rng.random(wrong.shape) < 0.9)
        return Candidates(contents, scores, np.ones(wrong.shape))

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        return 0.01 * candidates * (1 + list(WRONG).index(model))

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        index = candidates.scores[:, : self.candidate_count(refine)].argmax(axis=1)
        return index, candidates.scores[np.arange(len(index)), index]

    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        return Verdicts((contents != requests).astype(float), [str(number) for number in contents])
