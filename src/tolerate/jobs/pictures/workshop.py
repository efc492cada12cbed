"""The workshop of picture jobs: real pictures divided by purpose, generators, a judge and a reader.

The reader is the check: a picture is wrong if it is read as another class or as none. It, the judge, the generators
and the metrics share no real picture.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.base.files import slug
from tolerate.checks import Check, Judge, Verdicts, find_check, find_judge
from tolerate.checks.own_error import OwnError
from tolerate.checks.pictures.own_error import own_error_of, own_error_sentence
from tolerate.data import pictures as pictures_data
from tolerate.data.pictures import LabelledPictures
from tolerate.errors import DataError
from tolerate.messages.catalogue import message
from tolerate.messages.pictures import ASSUMPTIONS, LIMITS, USES
from tolerate.modality import from_image
from tolerate.models.registry import ZOO, model_path
from tolerate.refine import Refining, parse
from tolerate.report.preparation import (
    CheckErrorReport,
    CheckReport,
    DataPart,
    DataReport,
    JudgeReport,
    PreparationReport,
)
from tolerate.report.results import ModelMetrics, ModelReport, NearestExample, TrainingFinding
from tolerate.runs.history import loss_curves
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.workshop import Candidates, Workshop

if TYPE_CHECKING:
    from tolerate.models.pictures.evaluation.features import NetworkFeatures
    from tolerate.models.pictures.evaluation.metrics import CopyDetector

Bytes = NDArray[np.uint8]  # [n, channels, height, width]
MAX_NEAREST = 4  # of each model's drawings, those nearest to a training picture
COST_BATCH = 64  # pictures on which the cost of judging is counted
FAMILIES = {"likelihood": "vae", "adversarial": "gan", "flow": "flow"}  # as the report colours them
Fitted = TypeVar("Fitted")


def digits(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> "PictureWorkshop":
    """The workshop of the digits that scikit-learn ships."""
    return PictureWorkshop(plan, folder, reporter, pictures_data.digits)


def mnist(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> "PictureWorkshop":
    """The workshop of MNIST, or of any set published as its idx files."""
    return PictureWorkshop(plan, folder, reporter, lambda: pictures_data.idx(plan.data))


def pictures(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> "PictureWorkshop":
    """The workshop of the user's own pictures, a subfolder a class."""
    return PictureWorkshop(plan, folder, reporter, lambda: pictures_data.folder(plan.data))


def to_bytes(images: NDArray[np.floating]) -> Bytes:
    """Pictures in [0, 1] as bytes: how drawings are kept, judged and read."""
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def photographs(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.float32]:
    """Patches [count, *shape] of the two photographs that scikit-learn ships: pictures foreign to any job here."""
    from sklearn.datasets import load_sample_images

    channels, height, width = shape
    rng = np.random.default_rng(seed)
    photos = [np.asarray(photo, dtype=np.float32) / 255 for photo in load_sample_images().images]
    patches = []
    for index in range(count):
        photo = photos[index % len(photos)]
        top, left = rng.integers(photo.shape[0] - height), rng.integers(photo.shape[1] - width)
        patch = photo[top : top + height, left : left + width].transpose(2, 0, 1)
        patches.append(patch if channels == 3 else np.repeat(patch.mean(0, keepdims=True), channels, 0))
    return np.stack(patches)


def open_png(path: Path, shape: tuple[int, int, int]) -> Bytes:
    """One drawing [channels, height, width] from an image file."""
    try:
        content = from_image(path.read_bytes(), channels=shape[0])
    except (OSError, DataError) as error:
        raise DataError(f"{path} is no picture that can be read: {error}") from None
    if content.shape != shape:
        raise DataError(f"{path} is of size {content.shape}, the job's pictures are {shape}")
    return content


class PictureWorkshop(Workshop):
    """Reads the data, divides it by purpose, and fits reader, judge and metrics when they are first needed."""

    def __init__(
        self,
        plan: RunPlan,
        folder: Path,
        reporter: ProgressReporter,
        read_data: Callable[[], LabelledPictures],
    ) -> None:
        super().__init__(plan, folder, reporter)
        self._read_data = read_data
        self._refine: dict[str, Refining] = {name: parse(name) for name in plan.refine}
        for name in plan.models:
            model_path(name)

    @cached_property
    def pictures(self) -> LabelledPictures:
        """The real pictures."""
        return self._read_data()

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """The indices of the real pictures for each purpose."""
        return pictures_data.split(self.pictures, seed=self.plan.options.seed)

    def part(self, purpose: str) -> LabelledPictures:
        """The real pictures of one purpose."""
        return self.pictures.part(self.parts[purpose])

    @cached_property
    def reader(self) -> Check:
        """The check, fitted to real pictures that nothing else has seen."""
        return self._fit("reader", find_check(self.plan.job.check))

    @cached_property
    def judge(self) -> Judge:
        """The judge, cheaper than the reader and with pictures of its own; it only ranks."""
        return self._fit("judge", find_judge(self.plan.job.judge))

    def _fit(self, purpose: str, fit: Callable[[Contents, Ints, Sequence[str], int], Fitted]) -> Fitted:
        part = self.part(purpose)
        self.reporter.progress(0.2, f"the {purpose} learns from {len(part)} real pictures")
        return fit(part.images, part.labels, part.classes, self.plan.options.seed)

    # Reports

    def prepare(self) -> PreparationReport:
        """Data, split, reader and judge; the split is also written beside the run."""
        self.reporter.stage("prepare")
        pictures_data.write_parts(self.folder / "split.json", self.pictures, self.parts)
        return PreparationReport(
            self.data_report(),
            self.check_report(),
            JudgeReport(self.plan.job.judge, len(self.parts["judge"])),
            tuple(ASSUMPTIONS),
            tuple(LIMITS),
        )

    def data_report(self) -> DataReport:
        """The real pictures and how many of them serve each purpose."""
        return DataReport(
            self.pictures.name,
            len(self.pictures),
            self.pictures.sha256,
            tuple(self.pictures.classes),
            tuple(DataPart(name, len(indices), USES[name]) for name, indices in self.parts.items()),
        )

    def check_report(self) -> CheckReport:
        """The reader and its own error on real pictures that nothing has seen."""
        error, trained_on = self.reader_error, len(self.parts["reader"])
        low, high = error.interval()
        return CheckReport(
            name=self.plan.job.check,
            trained_on=trained_on,
            rejected=error.unrecognised,
            by="reader",
            sentence=message(
                "check.taught",
                check=self.plan.job.check,
                pictures=trained_on,
                error=own_error_sentence(error),
            ),
            error=CheckErrorReport(error.tested, error.refused - error.unrecognised, error.rate, low, high),
        )

    @cached_property
    def reader_error(self) -> OwnError:
        """The reader's errors on real pictures, each requested as what it is."""
        test = self.part("reader_test")
        return own_error_of(self.reader(test.images, test.labels), test.classes)

    # Requests and generators

    def requests(self, n: int, seed: int) -> Ints:
        """n classes, drawn independently and with equal probability."""
        return np.random.default_rng(seed).integers(0, len(self.pictures.classes), n)

    def request_text(self, request: int) -> str:
        """The class that a request asks for, by name."""
        return self.pictures.classes[request]

    def train(self, model: str, folder: Path, reporter: ProgressReporter) -> ModelReport:
        """Train one generator on its part of the pictures."""
        from tolerate.models.pictures.drawing import drawings_per_second
        from tolerate.models.pictures.examples import PictureExamples
        from tolerate.models.registry import build
        from tolerate.models.training.loop import train
        from tolerate.models.training.plan import TrainingOptions

        part, options = self.part("generator"), self.plan.options
        trained = train(
            build(model, part.shape, len(part.classes), seed=options.seed),
            PictureExamples(part.images, part.labels),
            TrainingOptions(
                steps=options.steps or self.plan.job.steps.get(model),
                budget=options.budget,
                seed=options.seed,
                device=options.device,
                board=options.board,
            ),
            folder,
            lambda progress: reporter.progress(progress.share, str(progress)),
        )
        entry = ZOO.get(model)
        return ModelReport(
            name=model,
            title=entry.title if entry else model,
            paper=entry.paper if entry else "",
            family=FAMILIES[entry.family] if entry else "own",
            figures={
                "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
                "steps": trained.steps,
                "seconds": round(trained.elapsed, 2),
                "draws_per_second": round(drawings_per_second(folder, len(part.classes))),
            },
            curve=loss_curves(trained.history),
            findings=tuple(TrainingFinding(finding.saw, finding.advice) for finding in trained.findings),
        )

    def generate(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """Candidates for each request, with the judge's scores and how far they are from copies."""
        from tolerate.models.pictures.drawing import drawings

        repeated = np.repeat(requests, candidates)
        drawn = drawings(folder, repeated, seed)
        shape = (len(requests), candidates)
        scores = self.judge(drawn, repeated).reshape(shape)
        copies = self._beyond_copies(drawn).reshape(shape)
        return Candidates(drawn.reshape(*shape, *drawn.shape[1:]), scores, copies)

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to draw and judge the candidates of one request, counted in operations.

        A single candidate needs the judge too: its score decides whether it is released.
        """
        from tolerate.models.pictures.drawing import drawing_cost

        return candidates * (drawing_cost(folder) + self._judging_cost)

    @cached_property
    def _judging_cost(self) -> float:
        from tolerate.models.training.cost import core_seconds

        part = self.part("judge")
        batch = to_bytes(part.images[:COST_BATCH])
        return core_seconds(lambda: self.judge(batch, part.labels[:COST_BATCH])) / len(batch)

    # Refining and checking

    def check(self, contents: Contents, requests: Ints) -> Verdicts:
        """Losses and readings of the drawings: whether each is what was asked for, and what the check read."""
        return self.reader(contents, requests)

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """The candidate that answers each request, and its score."""
        choice = self._refine[refine].choose(candidates.scores, candidates.copies)
        return choice.index, choice.scores

    def candidate_count(self, refine: str) -> int:
        """The number of candidates that a refining makes for a request."""
        return self._refine[refine].candidates

    def score(self, contents: Contents, requests: Ints) -> Floats:
        """The judge's opinion that each drawing shows what was asked for, 0 to 1."""
        return self.judge(contents, requests)

    def score_is_probability(self, refine: str) -> bool:
        """True: the judge's score is the probability that it gives to the class asked for."""
        return True

    def open_items(self, paths: Sequence[Path]) -> Contents:
        """Drawings from image files, all of the size of the job's pictures."""
        return np.stack([open_png(path, self.pictures.shape) for path in paths])

    # Metrics

    def measure(self, model: str, contents: Contents, requests: Ints, verdicts: Verdicts) -> ModelMetrics:
        """Quality of plain drawings beside real pictures that nothing was trained on."""
        from tolerate.models.pictures.evaluation import metrics

        features = self.features(contents)
        real = self.features(self.part("reference").images)
        equal = features[: len(real)]  # precision and recall compare equal numbers
        manifold = metrics.manifold(real, equal, min(5, len(real) - 1))
        figures = {
            "as_requested": float(1 - verdicts.losses.mean()),
            "fid": metrics.frechet(real, features),
            "kid": metrics.kernel_distance(real, features),
            "is": metrics.inception_score(self.features.probabilities(contents)),
            "precision": manifold.precision,
            "recall": manifold.recall,
            "copies": round(self.copies.near_copies(features, contents).share * len(contents)),
            "judge_auroc": self._judge_auroc(contents, requests, verdicts),
            **self._likelihood(model),
        }
        return ModelMetrics(figures, self._nearest(features, contents))

    def _judge_auroc(self, contents: Contents, requests: Ints, verdicts: Verdicts) -> float | None:
        """Probability that the judge scores a right drawing above a wrong one; None if there are not both."""
        from tolerate.models.pictures.evaluation.metrics import auroc

        scores, wrong = self.judge(contents, requests), verdicts.losses > 0
        return auroc(scores[wrong], scores[~wrong]) if 0 < wrong.sum() < len(wrong) else None

    def _likelihood(self, model: str) -> dict[str, float]:
        """Negative ELBO and anomaly scores of a model that has them."""
        from tolerate.models.pictures.evaluation.likelihood import likelihood

        test = self.part("reference")
        foreign = photographs(len(test), test.shape)
        return likelihood(self.folder / "models" / slug(model), test.images, test.labels, foreign)

    def _nearest(self, features: Floats, contents: Contents) -> tuple[NearestExample, ...]:
        """The drawings nearest to a training picture, with that picture."""
        index, distance = self.copies.distances(features, contents)
        trained = self.part("generator")
        return tuple(
            NearestExample(
                item=int(item),
                twin=self.modality.show(to_bytes(trained.images[index[item]]), ()),
                distance=float(distance[item]),
                copy=bool(distance[item] <= 1),
            )
            for item in np.argsort(distance, kind="stable")[:MAX_NEAREST]
        )

    @cached_property
    def features(self) -> "NetworkFeatures":
        """The features that pictures are compared by, fitted to real pictures of their own."""
        from tolerate.models.pictures.evaluation.features import fit_features

        return self._fit("features", fit_features)

    @cached_property
    def copies(self) -> "CopyDetector":
        """Tells copies of the pictures that the generators were trained on."""
        from tolerate.models.pictures.evaluation.metrics import fit_copy_detector

        trained, reference = self.part("generator"), self.part("reference")
        return fit_copy_detector(
            (self.features(trained.images), trained.images),
            (self.features(reference.images), reference.images),
        )

    def _beyond_copies(self, drawn: Bytes) -> Floats:
        """How far each drawing is beyond being a copy; computed only if a refining needs it."""
        if not any("no-copies" in name for name in self.plan.refine):
            return np.ones(len(drawn))
        return np.asarray(self.copies.margins(self.features(drawn), drawn))
