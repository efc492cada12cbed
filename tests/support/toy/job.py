"""The job: a melody in the scale that is asked for."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from tests.support.toy.modality import LENGTH, Melodies
from tests.support.toy.model import MelodyExamples, NoteTable
from tolerate.base.arrays import Contents, Ints
from tolerate.checks import Check, Verdicts, find_check
from tolerate.models.base import generator
from tolerate.models.storage import load
from tolerate.models.training.loop import train
from tolerate.models.training.plan import TrainingOptions
from tolerate.records import Job, Prices
from tolerate.report.preparation import CheckReport, DataPart, DataReport
from tolerate.report.results import ModelReport
from tolerate.runs.history import loss_curves
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.workshop import Candidates, Workshop

SCALES = {"pentatonic": (0, 1, 2, 4, 5), "major triad": (0, 2, 4)}
JOB = Job(
    name="melodies",
    title={"en": "Write a melody in a scale", "zh": "按音阶写旋律"},
    workshop="tests.support.toy.job:Conservatory",
    tolerance=0.2,
    confidence=0.9,
    tolerances=(0.5, 0.2, 0.1),
    models=("table",),
    refine=("plain", "best-of-4"),
    labels=300,
    proof=200,
    prices=Prices(compute=1.0, review=10.0),
    check="tests.support.toy.check:fit_scales",
    judge="least likely note",
    needs_data=False,
    modality=Melodies.name,
)


class Conservatory(Workshop):
    """Melodies drawn from the notes of each scale."""

    @cached_property
    def data(self) -> tuple[Contents, Ints]:
        rng = np.random.default_rng(self.plan.options.seed)
        scales = rng.integers(0, len(SCALES), 400)
        notes = list(SCALES.values())
        return np.array([rng.choice(notes[scale], LENGTH) for scale in scales]), scales

    @cached_property
    def scale_check(self) -> Check:
        return find_check(self.plan.job.check)(*self.data, list(SCALES), 0)

    def data_report(self) -> DataReport:
        split = (DataPart("generator", 400, "train the model"),)
        return DataReport("drawn melodies", 400, "0" * 64, tuple(SCALES), split)

    def check_report(self) -> CheckReport:
        return CheckReport("notes of the scale", by="rule", sentence="a rule: every note is in the scale")

    def requests(self, n: int, seed: int) -> Ints:
        return np.random.default_rng(seed).integers(0, len(SCALES), n)

    def request_text(self, request: int) -> str:
        return list(SCALES)[request]

    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        options = TrainingOptions(steps=self.plan.options.steps or 200, seed=self.plan.options.seed)
        trained = train(
            NoteTable(len(SCALES)),
            MelodyExamples(*self.data),
            options,
            folder,
            lambda progress: reporter.progress(progress.share, str(progress)),
        )
        figures = {"steps": trained.steps, "seconds": round(trained.elapsed, 2)}
        curve = loss_curves(trained.history)
        return ModelReport(model, "table of notes", family="table", figures=figures, curve=curve)

    def generate(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        scales = torch.as_tensor(np.repeat(requests, candidates))
        notes, least = load(folder, NoteTable).sample(scales, generator(seed))
        shape = (len(requests), candidates)
        scores = least.double().numpy().reshape(shape)
        return Candidates(notes.numpy().reshape(*shape, LENGTH), scores, np.ones(shape))

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        return 1e-6 * candidates

    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        return self.scale_check(contents, requests)
