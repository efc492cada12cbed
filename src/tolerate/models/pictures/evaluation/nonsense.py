"""Pictures that show none of the classes, made from pictures that do: a reader must learn to refuse them.

Hendrycks et al. (2019), Deep Anomaly Detection with Outlier Exposure, arXiv:1812.04606: a classifier
that has seen some nonsense refuses other kinds too. Each kind is a function of pictures
[n, channels, height, width], their labels [n] and randomness, and gives as many pictures back.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

NonsenseKind = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def mixed(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Two pictures of different classes, one shining through the other."""
    share = 0.35 + 0.3 * torch.rand(len(images), 1, 1, 1, generator=rng)
    return share * images + (1 - share) * images[_partners(labels, rng)]


def overlaid(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Two pictures of different classes on top of each other: the brighter of each two pixels."""
    return torch.maximum(images, images[_partners(labels, rng)])


def spliced(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The upper half of one picture over the lower half of one of another class."""
    half = images.shape[2] // 2
    return torch.cat([images[:, :, :half], images[_partners(labels, rng), :, half:]], dim=2)


def shuffled(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The pixels of each picture in random order."""
    n, channels, height, width = images.shape
    order = torch.rand(n, 1, height * width, generator=rng).argsort(dim=2).expand(n, channels, -1)
    return images.flatten(2).gather(2, order).view_as(images)


def quartered(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The four quarters of each picture in another order: each moves by half a side, round the edge."""
    height, width = images.shape[2] // 2, images.shape[3] // 2
    moves = [(height, 0), (0, width), (height, width)]
    move = torch.randint(3, (len(images),), generator=rng)
    rolled = torch.stack([images.roll(move, dims=(2, 3)) for move in moves])
    return rolled[move, torch.arange(len(images))]


def halved(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures of which one half is missing: top, bottom, left or right."""
    _, _, height, width = images.shape
    rows, columns = torch.arange(height)[:, None] < height // 2, torch.arange(width)[None] < width // 2
    masks = torch.stack([mask.expand(height, width) for mask in (rows, ~rows, columns, ~columns)])
    half = torch.randint(4, (len(images),), generator=rng)
    return images * masks[half, None]


def faint(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures that are almost black."""
    return images * 0.25 * torch.rand(len(images), 1, 1, 1, generator=rng)


def noise(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Independent random pixels."""
    return torch.rand(images.shape, generator=rng)


def clouds(images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """Random brightness that changes slowly over the picture."""
    coarse = torch.randn(*images.shape[:2], 4, 4, generator=rng)
    fine = F.interpolate(coarse, images.shape[2:], mode="bilinear", align_corners=False)
    return torch.sigmoid(3 * fine)


NONSENSE: dict[str, NonsenseKind] = {
    "mixed": mixed,
    "shuffled": shuffled,
    "overlaid": overlaid,
    "halved": halved,
    "spliced": spliced,
    "noise": noise,
    "quartered": quartered,
    "clouds": clouds,
    "faint": faint,
}


def _partners(labels: Tensor, rng: torch.Generator) -> Tensor:
    """For each picture the index of one of another class; of any class if all are of one."""
    chance = torch.rand(len(labels), len(labels), generator=rng)
    return (chance - 2.0 * (labels[:, None] == labels[None])).argmax(dim=1)
