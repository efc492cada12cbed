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
from tolerate.records import Job
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


def to_bytes(images: NDArray[Any]) -> Bytes:
    """Pictures in [0, 1] as bytes: how drawings are kept, judged and read."""
    return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def png(content: Bytes, scale: int = 1) -> bytes:
    """One picture [channels, height, width] as PNG."""
    import io

    from PIL import Image

    array = content[0] if len(content) == 1 else content.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(array))
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    return memory.getvalue()
