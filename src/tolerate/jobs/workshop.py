"""The workshop of picture jobs: real pictures dealt to purposes, generators, a judge and a reader.

The reader is the check: a drawing is wrong if it is read as another class or as none. It, the
judge, the generators and the metrics share no real picture.
"""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.jobs import pictures_data
from tolerate.jobs.pictures_data import Pictures
from tolerate.jobs.words import ASSUMPTIONS, LIMITS, USES
from tolerate.models import known
from tolerate.records import Job
from tolerate.refine import parse
from tolerate.run import Candidates, Options, Say, Verdicts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]  # [n, channels, height, width]


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


def png(content: Bytes, scale: int = 1) -> bytes:
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

    def about(self) -> dict[str, Any]:
        """Data, split, reader and judge, as the report tells of them."""
        self.say.stage("prepare")
        pictures_data.write_parts(self.folder / "split.json", self.pictures, self.parts)
        data = {
            "name": self.pictures.name,
            "total": len(self.pictures),
            "sha256": self.pictures.sha256,
            "classes": list(self.pictures.classes),
            "split": [
                {"name": name, "n": len(indices), "use": USES[name]} for name, indices in self.parts.items()
            ],
        }
        return {
            "data": data,
            "reader": self._about_reader(),
            "judge": self._about_judge(),
            "assumptions": ASSUMPTIONS,
            "limits": LIMITS,
        }

    def requests(self, n: int, seed: int) -> Ints:
        """n classes, drawn independently and each as likely as the other."""
        return np.random.default_rng(seed).integers(0, len(self.pictures.classes), n)

    def asked(self, request: int) -> str:
        """The class that a request asks for, by name."""
        return self.pictures.classes[request]

    def train(self, model: str, folder: Path, say: Say) -> dict[str, Any]:
        """Train one generator on its part of the pictures."""
        from tolerate.models import ZOO, build
        from tolerate.models.train import train

        part = self.part("generator")
        trained = train(
            build(model, part.shape, len(part.classes), seed=self.options.seed),
            part.images,
            part.labels,
            budget=self.options.budget,
            seed=self.options.seed,
            folder=folder,
            device="auto",
            on_progress=lambda at: say.progress(at.share * TRAINING, str(at)),
        )
        entry = ZOO.get(model)
        return {
            "name": model,
            "title": entry.title if entry else model,
            "paper": entry.paper if entry else "",
            "family": entry.family if entry else "own",
            "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
            "steps": trained.steps,
            "seconds": round(trained.elapsed, 2),
            "curve": curves(trained.history),
            "findings": [finding.to_json() for finding in trained.findings],
        }

    def make(self, model: str, folder: Path, requests: Ints, candidates: int, seed: int) -> Candidates:
        """Candidates for each request, with the judge's scores and how far they are from copies."""
        from tolerate.models.drawing import drawings

        asked = np.repeat(requests, candidates)
        drawn = drawings(folder, asked, seed)
        shape = (len(requests), candidates)
        scores = self.judge.score(drawn, asked).reshape(shape)
        copies = self.copies.beyond(drawn).reshape(shape) if self._watches_copies else np.ones(shape)
        return Candidates(drawn.reshape(*shape, *drawn.shape[1:]), scores, copies)

    def check(self, contents: Bytes, requests: Ints) -> Verdicts:
        """What the reader sees in each drawing, and whether it is what was asked for."""
        read = self.reader.read(contents)
        names = [*self.pictures.classes, "none"]
        return Verdicts((read != requests).astype(np.float64), [names[label] for label in read])

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
        return self.judge.score(contents, requests)

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to draw and judge the candidates of one request, counted in operations."""
        from tolerate.models.drawing import drawing_cost

        return candidates * (drawing_cost(folder) + self.judge.cost)
