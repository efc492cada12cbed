"""A small convolutional classifier of pictures, used by reader, judge and features.

Three convolutions after LeCun et al. (1998), Gradient-Based Learning Applied to Document Recognition, with batch
normalisation (Ioffe and Szegedy 2015) and one cycle of the learning rate (Smith and Topin 2018). Batches are shifted,
rotated, scaled and sheared a little, so that a few hundred pictures are enough; they also contain some nonsense,
labelled as an additional class: none.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.errors import DataError
from tolerate.models.base import generator, torch_seed, torch_threads
from tolerate.models.pictures.base import Shape
from tolerate.models.pictures.evaluation.nonsense import NONSENSE
from tolerate.models.pictures.layers import descend

NONSENSE_SHARE = 3 / 8  # pictures of nonsense for each real one of a batch
BATCH = 64
READ_BATCH = 500  # pictures read at a time: they stay in the cache
REPORT_STEPS = 20  # between two reports of progress

ReportShare = Callable[[float], None]  # receives the share that is done, 0 to 1


@dataclass(frozen=True)
class ClassifierOptions:
    """How a classifier is built and trained. The fields are stored beside the weights."""

    width: int = 16  # channels of the first convolutions
    neck: int = 0  # numbers that the last layer reads; 0 for all that the convolutions give
    steps: int = 500
    nonsense: bool = True  # an additional class for pictures that show none of the classes
    warps: float = 1.0  # strength of shifts, rotations, scalings and shears
    rate: float = 4e-3
    batch: int = BATCH


class PictureClassifier(nn.Module):
    """Three convolutions, pooled once to three times by size; `features` is what the last layer reads.

    >>> PictureClassifier((1, 8, 8), 11)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 11])
    """

    def __init__(self, shape: Shape, outputs: int, width: int = 16, neck: int = 0) -> None:
        super().__init__()
        channels, *sides = shape
        pools = [min(sides) > 16, min(sides) > 4, min(sides) > 40]
        widths = [channels, width, width, 2 * width]
        layers: list[nn.Module] = []
        for inputs, filters, pool in zip(widths, widths[1:], pools, strict=False):
            layers += [
                nn.Conv2d(inputs, filters, 3, padding=1, bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool2d(2)] if pool else []
        flat = math.prod(side // 2 ** sum(pools) for side in sides) * 2 * width
        squeeze = [nn.Linear(flat, neck), nn.ReLU()] if neck else []
        self.body = nn.Sequential(*layers, nn.Flatten(), *squeeze)
        self.width = neck or flat
        self.head = nn.Linear(self.width, outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on CPUs

    def features(self, images: Tensor) -> Tensor:
        """What the last layer reads: [n, width]."""
        features: Tensor = self.body(images.contiguous(memory_format=torch.channels_last))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes, and of none if the classifier was trained with nonsense."""
        logits: Tensor = self.head(self.features(images))
        return logits


def train_classifier(
    images: Contents,
    labels: Ints,
    classes: int,
    options: ClassifierOptions,
    seed: int,
    on_progress: ReportShare | None = None,
) -> PictureClassifier:
    """Train a classifier on labelled pictures; the same for the same pictures, options and seed."""
    pictures, targets = to_float_tensor(images), torch.as_tensor(labels)
    if len(pictures) == 0:
        raise DataError("there are no pictures to learn from; expected a few of each class")
    shape = image_shape(images)
    with torch_seed(seed), torch_threads(1):
        network = PictureClassifier(shape, classes + options.nonsense, options.width, options.neck)
        rng = generator(seed)
        optimizer = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=0.02, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, total_steps=options.steps)
        network.train()
        for step in range(options.steps):
            inputs, answers = _batch(pictures, targets, classes, options, step, rng)
            descend(F.cross_entropy(network(inputs), answers, label_smoothing=0.05), optimizer)
            schedule.step()
            if on_progress and step % REPORT_STEPS == 0:
                on_progress(step / options.steps)
    return network.eval()


def _batch(
    images: Tensor,
    labels: Tensor,
    classes: int,
    options: ClassifierOptions,
    step: int,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Real pictures, warped, and one kind of nonsense made from them; with their labels."""
    indices = torch.randint(len(images), (options.batch,), generator=rng)
    inputs, targets = warp(images[indices], options.warps, rng), labels[indices]
    if not options.nonsense:
        return inputs, targets
    kinds = list(NONSENSE.values())
    count = round(NONSENSE_SHARE * options.batch)
    nonsense = kinds[step % len(kinds)](inputs[:count], targets[:count], rng)
    return torch.cat([inputs, nonsense]), torch.cat([targets, torch.full((count,), classes)])


def warp(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Shift, rotate, scale and shear each picture a little, at random."""
    n = len(images)
    turn, slant = strength * 0.15 * torch.randn(2, n, generator=rng)
    stretch = torch.exp(strength * 0.1 * torch.randn(n, 2, generator=rng))
    move = strength * 0.12 * torch.randn(n, 2, generator=rng)
    rows = [
        torch.stack([turn.cos() * stretch[:, 0], slant - turn.sin(), move[:, 0]], dim=1),
        torch.stack([turn.sin(), turn.cos() * stretch[:, 1], move[:, 1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def to_float_tensor(images: Contents) -> Tensor:
    """Pictures as floats in [0, 1], from floats or bytes."""
    if images.ndim != 4:
        raise DataError(f"pictures came as {images.shape}, expected [n, channels, height, width]")
    pictures = torch.from_numpy(np.ascontiguousarray(images))
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures.float()


def image_shape(images: Contents) -> Shape:
    """Channels, height and width of an array of pictures."""
    _, channels, height, width = images.shape
    return channels, height, width


@torch.no_grad()
def map_batches(images: Contents, function: Callable[[Tensor], Tensor]) -> Floats:
    """The rows that a function of pictures returns, applied to a few hundred at a time."""
    with torch_threads(1):
        parts = [function(to_float_tensor(part)).double().numpy() for part in _batches(images)]
    return np.concatenate(parts)


def _batches(images: Contents) -> Sequence[Contents]:
    """Consecutive parts of the pictures; one empty part if there are none."""
    return [images[start : start + READ_BATCH] for start in range(0, max(len(images), 1), READ_BATCH)]


def class_probabilities(network: PictureClassifier, images: Contents) -> Floats:
    """Probability of each output for each picture: [n, outputs]."""
    return map_batches(images, lambda part: network(part).softmax(dim=1))
