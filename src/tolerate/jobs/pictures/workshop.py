"""The workshop of picture jobs: real pictures dealt to purposes, generators, a judge and a reader.

The reader is the check: a drawing is wrong if it is read as another class or as none. It, the
judge, the generators and the metrics share no real picture.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.checks import Check, Judge, Verdicts, find_check, find_judge
from tolerate.checks.pictures.own_error import OwnError, own_error_of
from tolerate.data import pictures as pictures_data
from tolerate.data.pictures import Pictures
from tolerate.errors import DataError
from tolerate.messages.pictures import ASSUMPTIONS, LIMITS, USES
from tolerate.models import known
from tolerate.records import Job
from tolerate.refine import parse
from tolerate.runs.pipeline import Candidates, Options, Say
from tolerate.runs.summary import uri

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]  # [n, channels, height, width]
TWINS = 4  # of each model's drawings, those nearest to a training picture
FAMILIES = {"likelihood": "vae", "adversarial": "gan", "flow": "flow"}  # as the report colours them


def digits(job: Job, options: Options, folder: Path, say: Say) -> "PictureWorkshop":
    """The workshop of the digits that scikit-learn ships."""
    return PictureWorkshop(job, options, folder, say, pictures_data.digits)


def mnist(job: Job, options: Options, folder: Path, say: Say) -> "PictureWorkshop":
    """The workshop of MNIST, or of any set published as its idx files."""
    assert options.data is not None  # settle() has seen to it
    data = options.data
    return PictureWorkshop(job, options, folder, say, lambda: pictures_data.idx(data))


def pictures(job: Job, options: Options, folder: Path, say: Say) -> "PictureWorkshop":
    """The workshop of one's own pictures, a subfolder a class."""
    assert options.data is not None  # settle() has seen to it
    data = options.data
    return PictureWorkshop(job, options, folder, say, lambda: pictures_data.folder(data))


def to_bytes(images: NDArray[Any]) -> Bytes:
    """Pictures in [0, 1] as bytes: how drawings are kept, judged and read."""
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def photographs(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.float32]:
    """Patches [count, *shape] of the two photographs that scikit-learn ships: pictures foreign to any job here."""
    from sklearn.datasets import load_sample_images

    channels, height, width = shape
    rng = np.random.default_rng(seed)
    photos = [np.asarray(photo, dtype=np.float32) / 255 for photo in load_sample_images().images]
    patches = []
    for at in range(count):
        photo = photos[at % len(photos)]
        top, left = rng.integers(photo.shape[0] - height), rng.integers(photo.shape[1] - width)
        patch = photo[top : top + height, left : left + width].transpose(2, 0, 1)
        patches.append(patch if channels == 3 else np.repeat(patch.mean(0, keepdims=True), channels, 0))
    return np.stack(patches)


def open_png(path: Path, shape: tuple[int, int, int]) -> Bytes:
    """One drawing [channels, height, width] from a picture file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            array = np.asarray(picture.convert("L" if shape[0] == 1 else "RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path} is no picture that can be read: {error}") from None
    content = array[None] if shape[0] == 1 else array.transpose(2, 0, 1)
    if content.shape != shape:
        raise DataError(f"{path} is of size {content.shape}, the job's pictures are {shape}")
    return content


def png(content: Bytes) -> bytes:
    """One picture [channels, height, width] as PNG."""
    import io

    from PIL import Image

    array = content[0] if len(content) == 1 else content.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(array))
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    return memory.getvalue()


class PictureWorkshop:
    """Opens the data, deals it to purposes, and makes reader, judge and metrics when first asked."""

    def __init__(
        self, job: Job, options: Options, folder: Path, say: Say, data: Callable[[], Pictures]
    ) -> None:
        self.job, self.options, self.folder, self.say = job, options, folder, say
        self._data = data
        self._refine = {name: parse(name) for name in job.refine}
        for name in job.models:
            known(name)

    @cached_property
    def pictures(self) -> Pictures:
        """The real pictures."""
        return self._data()

    @cached_property
    def parts(self) -> dict[str, Ints]:
        """Which real picture is for what; written down beside the run."""
        return pictures_data.split(self.pictures, seed=self.options.seed)

    def part(self, purpose: str) -> Pictures:
        """The real pictures of one purpose."""
        return self.pictures.part(self.parts[purpose])

    @cached_property
    def reader(self) -> Check:
        """The check: taught on real pictures that nothing else has seen, when first asked."""
        check: Check = self._taught("reader", find_check(self.job.check))
        return check

    @cached_property
    def judge(self) -> Judge:
        """Cheaper than the reader, with pictures of its own; it only ranks."""
        judge: Judge = self._taught("judge", find_judge(self.job.judge))
        return judge

    def _taught(self, purpose: str, maker: Callable[..., Any]) -> Any:
        part = self.part(purpose)
        self.say.progress(0.2, f"the {purpose} learns from {len(part)} real pictures")
        return maker(part.images, part.labels, part.classes, self.options.seed)

    def about(self) -> dict[str, Any]:
        """Data, split, reader and judge, as the report tells of them."""
        self.say.stage("prepare")
        pictures_data.write_parts(self.folder / "split.json", self.pictures, self.parts)
        return {
            "data": self.about_data(),
            "reader": self._about_reader(),
            "judge": {"name": self.job.judge, "trained_on": len(self.parts["judge"])},
            "assumptions": ASSUMPTIONS,
            "limits": LIMITS,
        }

    def about_data(self) -> dict[str, Any]:
        """The real pictures and which of them are for what."""
        parts = [{"name": name, "n": len(indices), "use": USES[name]} for name, indices in self.parts.items()]
        return {
            "name": self.pictures.name,
            "total": len(self.pictures),
            "sha256": self.pictures.sha256,
            "classes": list(self.pictures.classes),
            "split": parts,
        }

    def _about_reader(self) -> dict[str, Any]:
        """The reader and its own error on real pictures that nothing has seen."""
        error, trained = self.reader_error, len(self.parts["reader"])
        sentence = f"the {self.job.check}, taught on {trained:,} real pictures. {error.sentence()}"
        found = error.to_json()
        return {
            "name": self.job.check,
            "trained_on": trained,
            "tested_on": error.pictures,
            "wrong": error.misread,
            "rejected": error.none,
            **{key: found[key] for key in ("rate", "low", "high")},
            "by": "reader",
            "sentence": sentence,
        }

    @cached_property
    def reader_error(self) -> OwnError:
        """How the check does on real pictures, each asked for as what it is."""
        test = self.part("reader_test")
        return own_error_of(self.reader(test.images, test.labels), test.classes)

    def requests(self, n: int, seed: int) -> Ints:
        """n classes, drawn independently and each as likely as the other."""
        return np.random.default_rng(seed).integers(0, len(self.pictures.classes), n)

    def asked(self, request: int) -> str:
        """The class that a request asks for, by name."""
        return self.pictures.classes[request]

    def train(self, model: str, folder: Path, say: Say) -> dict[str, Any]:
        """Train one generator on its part of the pictures."""
        from tolerate.models import ZOO, build
        from tolerate.models.pictures.drawing import drawings_per_second
        from tolerate.models.training.loop import train

        part, options = self.part("generator"), self.options
        trained = train(
            build(model, part.shape, len(part.classes), seed=options.seed),
            part.images,
            part.labels,
            steps=options.steps or self.job.steps.get(model),
            budget=options.budget,
            seed=options.seed,
            folder=folder,
            device=options.device,
            board=options.board,
            on_progress=lambda at: say.progress(at.share, str(at)),
        )
        entry = ZOO.get(model)
        return {
            "name": model,
            "title": entry.title if entry else model,
            "paper": entry.paper if entry else "",
            "family": FAMILIES[entry.family] if entry else "own",
            "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
            "steps": trained.steps,
            "seconds": round(trained.elapsed, 2),
            "draws_per_second": round(drawings_per_second(folder, len(part.classes))),
            "curve": curves(trained.history),
            "findings": [{"what": found.saw, "try": found.advice} for found in trained.findings],
        }

    def make(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """Candidates for each request, with the judge's scores and how far they are from copies."""
        from tolerate.models.pictures.drawing import drawings

        asked = np.repeat(requests, candidates)
        drawn = drawings(folder, asked, seed)
        shape = (len(requests), candidates)
        scores = self.judge(drawn, asked).reshape(shape)
        copies = self._beyond_copies(drawn).reshape(shape)
        return Candidates(drawn.reshape(*shape, *drawn.shape[1:]), scores, copies)

    def check(self, contents: Bytes, requests: Ints) -> Verdicts:
        """What the reader sees in each drawing, and whether it is what was asked for."""
        return self.reader(contents, requests)

    def choose(self, refine: str, candidates: Candidates) -> tuple[Ints, Floats]:
        """Which candidate answers each request, by a refining's name."""
        choice = self._refine[refine].choose(candidates.scores, candidates.copies)
        return choice.index, choice.scores

    def candidates(self, refine: str) -> int:
        """How many candidates a refining makes for a request."""
        return self._refine[refine].candidates

    def picture(self, content: Bytes) -> bytes:
        """One drawing as PNG."""
        return png(content)

    def score(self, contents: Bytes, requests: Ints) -> Floats:
        """The judge's opinion that each drawing shows what was asked for, 0 to 1."""
        return self.judge(contents, requests)

    def claims_chance(self, refine: str) -> bool:
        """The judge's score is the probability it gives to the class asked for, in whatever way it chooses."""
        return True

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
        some = to_bytes(part.images[:64])
        return core_seconds(lambda: self.judge(some, part.labels[:64])) / len(some)

    def open_items(self, paths: Sequence[Path]) -> Bytes:
        """Drawings from PNG files, all of the size of the job's pictures."""
        return np.stack([open_png(path, self.pictures.shape) for path in paths])

    def measure(self, model: str, contents: Bytes, requests: Ints, verdicts: Verdicts) -> dict[str, Any]:
        """Quality of plain drawings beside real pictures that nothing was trained on."""
        from tolerate.models.pictures.evaluation import metrics

        reference, found = self.part("reference"), self.features(contents)
        real = self.features(reference.images)
        drawn = found[: len(real)]  # precision and recall compare equal numbers
        pairs = self.copies.pairs(found, contents)
        kinds = metrics.manifold(real, drawn, min(5, len(real) - 1))
        return {
            "as_requested": float(1 - verdicts.losses.mean()),
            "fid": metrics.frechet(real, found),
            "kid": metrics.kernel_distance(real, found),
            "is": metrics.inception_score(self.features.probabilities(contents)),
            "precision": kinds.precision,
            "recall": kinds.recall,
            "copies": round(pairs.share * len(contents)),
            "judge_auroc": self._judge_auroc(contents, requests, verdicts),
            **self._likelihood(model),
            "nearest": self._twins(found, contents),
        }

    def _judge_auroc(self, contents: Bytes, requests: Ints, verdicts: Verdicts) -> float | None:
        """Chance that the judge scores a right drawing above a wrong one; None if all are alike."""
        from tolerate.models.pictures.evaluation.metrics import auroc

        scores, wrong = self.judge(contents, requests), verdicts.losses > 0
        return auroc(scores[wrong], scores[~wrong]) if 0 < wrong.sum() < len(wrong) else None

    def _likelihood(self, model: str) -> dict[str, Any]:
        """Negative ELBO and anomaly scores of a model that can give them."""
        from tolerate.models.pictures.drawing import likelihood

        test = self.part("reference")
        foreign = photographs(len(test), test.shape)
        return likelihood(self.folder / "models" / model, test.images, test.labels, foreign)

    def _twins(self, found: Floats, contents: Bytes) -> list[dict[str, Any]]:
        """The drawings nearest to a training picture, with that picture."""
        place, far = self.copies.distances(found, contents)
        trained = self.part("generator")
        return [
            {
                "item": int(at),
                "twin": uri(png(to_bytes(trained.images[place[at]]))),
                "distance": float(far[at]),
                "copy": bool(far[at] <= 1),
            }
            for at in np.argsort(far, kind="stable")[:TWINS]
        ]

    @cached_property
    def features(self) -> Any:
        """What pictures are compared by, taught on real pictures of its own."""
        from tolerate.models.pictures.evaluation.features import fit_features

        return self._taught("features", fit_features)

    @cached_property
    def copies(self) -> Any:
        """Tells copies of the pictures that the generators were trained on."""
        from tolerate.models.pictures.evaluation.metrics import fit_copies

        trained, further = self.part("generator"), self.part("reference")
        return fit_copies(
            (self.features(trained.images), trained.images), (self.features(further.images), further.images)
        )

    def _beyond_copies(self, drawn: Bytes) -> Floats:
        """How far each drawing is beyond being a copy; looked at only if a refining asks for it."""
        if not any("no-copies" in name for name in self.job.refine):
            return np.ones(len(drawn))
        return np.asarray(self.copies.beyond(self.features(drawn), drawn))


def curves(history: Sequence[Mapping[str, float]]) -> dict[str, list[list[float]]]:
    """What was logged in training, by name: [step, value] rows.

    >>> curves([{"step": 10, "loss": 2.0, "seconds": 1.0}])
    {'loss': [[10, 2.0]]}
    """
    found: dict[str, list[list[float]]] = {}
    for line in history:
        for name, value in line.items():
            if "loss" in name and np.isfinite(value):
                found.setdefault(name, []).append([int(line["step"]), float(value)])
    return found
