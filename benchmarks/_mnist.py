"""Shared by the benchmarks on MNIST: the pictures, one thread, and the options of their commands.

The feature network and the distances are those of `benchmarks.mnist_gans`, so that the figures of both
commands can be compared.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tolerate.data.pictures import idx

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data")) / "raw" / "mnist"
SHAPE = (1, 28, 28)


@dataclass(frozen=True)
class Mnist:
    """Pictures [n, 1, 28, 28] in [0, 1] and their labels."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def mnist(data: Path) -> Mnist:
    """Load both published parts of MNIST."""
    train, test = idx(data, parts=("train",)), idx(data, parts=("t10k",))
    arrays = (train.images, train.labels, test.images, test.labels)
    images, labels, test_images, test_labels = (torch.tensor(array) for array in arrays)
    return Mnist(images.float(), labels.long(), test_images.float(), test_labels.long())


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that these commands share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder with MNIST's idx files")
    parser.add_argument("--seconds", type=float, default=60, help="CPU seconds of each training")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model")
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the options and restrict PyTorch to one thread."""
    torch.set_num_threads(1)
    return parser.parse_args()


class Stopwatch:
    """CPU seconds of this process since the stopwatch was created."""

    def __init__(self) -> None:
        self.began = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self.began


def say(line: str) -> None:
    """Print a line and flush it."""
    print(line)
    sys.stdout.flush()
