"""A small convolutional network that tells classes of pictures apart: reader, judge and features are such.

Three convolutions after LeCun et al. (1998), Gradient-Based Learning Applied to Document Recognition,
with batch normalisation (Ioffe and Szegedy 2015) and one cycle of the learning rate (Smith and Topin
2018). Every batch is moved, turned, stretched and slanted a little, so that a few hundred pictures
are enough; beside it stands some nonsense, labelled as one class more: none.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.base.files import write_whole
from tolerate.errors import DataError, RunError
from tolerate.models.base import generator, torch_seed, torch_threads
from tolerate.models.pictures.base import Shape
from tolerate.models.pictures.evaluation.nonsense import NONSENSE
from tolerate.models.storage import detached_copies, fill, lists_to_tuples, read_tensors

Images = NDArray[Any]  # [n, channels, height, width]: floats in [0, 1], or bytes
Ints = NDArray[np.int64]
SHARE = 3 / 8  # pictures of nonsense beside each real one
BATCH = 64
READ = 500  # pictures read at a time


@dataclass(frozen=True)
class Course:
    """How a classifier is built and taught."""

    width: int = 16  # channels of the first convolutions
    neck: int = 0  # numbers that the last layer reads, if they are to be few
    steps: int = 500
    nonsense: bool = True  # one class more, for pictures that show none
    warps: float = 1.0  # how far pictures are moved, turned, stretched and slanted
    rate: float = 4e-3
    batch: int = BATCH


class Network(nn.Module):
    """Three convolutions, pooled once to three times by size; `features` is what the last layer reads.

    neck: squeeze what is found into so many numbers first; 0 for all of it.

    >>> Network((1, 8, 8), 11)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 11])
    """

    def __init__(self, shape: Shape, outputs: int, width: int = 16, neck: int = 0) -> None:
        super().__init__()
        channels, *sides = shape
        pools = [min(sides) > 16, min(sides) > 4, min(sides) > 40]
        widths = [channels, width, width, 2 * width]
        layers: list[nn.Module] = []
        for into, out, pool in zip(widths, widths[1:], pools, strict=False):
            layers += [nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pool else []
        found = math.prod(side // 2 ** sum(pools) for side in sides) * 2 * width
        squeeze = [nn.Linear(found, neck), nn.ReLU()] if neck else []
        self.body = nn.Sequential(*layers, nn.Flatten(), *squeeze)
        self.width = neck or found
        self.head = nn.Linear(self.width, outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on CPUs

    def features(self, images: Tensor) -> Tensor:
        """What the last layer reads: [n, width]."""
        found: Tensor = self.body(images.contiguous(memory_format=torch.channels_last))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes, and of none where it was taught."""
        logits: Tensor = self.head(self.features(images))
        return logits


def teach(
    images: Images,
    labels: Ints,
    classes: int,
    course: Course,
    *,
    seed: int,
    on_progress: Callable[[float], None] | None = None,
) -> Network:
    """A network taught on labelled pictures; the same for the same pictures, course and seed."""
    pictures, truth = tensor(images), torch.as_tensor(labels)
    if len(pictures) == 0:
        raise DataError("there are no pictures to learn from; expected a few of each class")
    _, channels, height, width = pictures.shape
    with torch_seed(seed), torch_threads(1):
        network = Network((channels, height, width), classes + course.nonsense, course.width, course.neck)
        _steps(network, pictures, truth, classes, course, generator(seed), on_progress)
    return network.eval()


def _steps(
    network: Network,
    images: Tensor,
    labels: Tensor,
    classes: int,
    course: Course,
    rng: torch.Generator,
    on_progress: Callable[[float], None] | None,
) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), course.rate, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, course.rate, total_steps=course.steps)
    network.train()
    for step in range(course.steps):
        seen, truth = _batch(images, labels, classes, course, step, rng)
        loss = F.cross_entropy(network(seen), truth, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if on_progress and step % 20 == 0:
            on_progress(step / course.steps)


def _batch(
    images: Tensor, labels: Tensor, classes: int, course: Course, step: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Real pictures, warped, and beside them one kind of nonsense made from them."""
    place = torch.randint(len(images), (course.batch,), generator=rng)
    seen, truth = warped(images[place], course.warps, rng), labels[place]
    if not course.nonsense:
        return seen, truth
    kinds = list(NONSENSE.values())
    few = round(SHARE * course.batch)
    wrong = kinds[step % len(kinds)](seen[:few], truth[:few], rng)
    return torch.cat([seen, wrong]), torch.cat([truth, torch.full((few,), classes)])


def warped(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Each picture moved, turned, stretched and slanted a little, by chance."""
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


def tensor(images: Images) -> Tensor:
    """Pictures as floats in [0, 1], whether they came as floats or as bytes."""
    if images.ndim != 4:
        raise DataError(f"pictures came as {images.shape}, expected [n, channels, height, width]")
    pictures = torch.from_numpy(np.ascontiguousarray(images))
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures.float()


@torch.no_grad()
def each(images: Images, work: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
    """The rows that some work gives for pictures, a few hundred at a time (they stay in the cache)."""
    with torch_threads(1):
        return np.concatenate([work(tensor(part)).double().numpy() for part in _parts(images)])


def _parts(images: Images) -> list[Images]:
    return [images[start : start + READ] for start in range(0, max(len(images), 1), READ)]


def probabilities(network: Network, images: Images) -> NDArray[np.float64]:
    """Probability of each output for each picture: [n, outputs]."""
    return each(images, lambda part: network(part).softmax(dim=1))


def save_networks(path: Path, networks: Mapping[str, Network], about: Mapping[str, Any]) -> None:
    """Write networks and what belongs to them as one safetensors file; it appears whole or not at all."""
    from safetensors.torch import save

    state = {
        f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()
    }
    write_whole(path, save(detached_copies(state), {"about": json.dumps(dict(about), sort_keys=True)}))


def load_networks(path: Path, shape: Shape, outputs: int, course: Course) -> dict[str, Network]:
    """The networks of a file that `save_networks` wrote, by name."""
    tensors, _ = read_tensors(path)
    networks = {}
    for name in sorted({key.partition(".")[0] for key in tensors}):
        mine = {key.partition(".")[2]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        networks[name] = Network(shape, outputs, course.width, course.neck).eval()
        fill(networks[name], mine)
    return networks


def read_about(path: Path) -> dict[str, Any]:
    """What `save_networks` wrote beside the networks, lists as tuples."""
    _, notes = read_tensors(path)
    try:
        about: dict[str, Any] = {
            key: lists_to_tuples(value) for key, value in json.loads(notes["about"]).items()
        }
    except (KeyError, ValueError):
        raise RunError(f"{path} holds weights but does not say of what; train again") from None
    return about


def fitting(images: Images, shape: Shape) -> None:
    """Refuse pictures of another shape than a network was taught on."""
    if images.shape[1:] != shape:
        raise DataError(f"pictures are {images.shape[1:]}, expected (channels, height, width) = {shape}")
