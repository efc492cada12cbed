"""Convolutional adversarial nets. Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with DCGANs".

The game is that of `gan.py`; the players are convolutional (Section 3 of the paper): no pooling but
strides, no hidden layers of linear units but at the ends, batch norm in the generator, leaky slopes
in the discriminator, tanh at the end.

What is different, and why:

- The generator doubles the size by a 3x3 convolution to four times the channels, folded into space
  (Shi et al. 2016), instead of a 4x4 transposed one: no checkerboard. The discriminator's first layer
  unfolds space into channels the same way. So no convolution works on one channel at full size, where a
  processor spends its time on moving memory.
- Channels are few (16 at half size, doubled as the size is halved): in a short time, seeing several times
  as many pictures is worth more than wide layers.
- No batch norm in the discriminator: it would compare pictures within a batch, which `play_step` must not
  have; and a small linear layer before its outputs, without which it can hardly tell the classes apart.
- The learning rate, the average of weights and the shared pass of `gan.py`.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.models.base import Recipe
from tolerate.models.pictures.base import Shape
from tolerate.models.pictures.gan import GAN, class_logit
from tolerate.models.pictures.layers import one_hot

COARSEST_SIDE = 8  # the largest shorter side of the coarsest grid


def halvings(shape: Shape) -> int:
    """How often a picture's size is halved until its shorter side is at most COARSE; at least once.

    >>> halvings((1, 8, 8)), halvings((1, 28, 28)), halvings((3, 32, 32)), halvings((3, 64, 100))
    (1, 2, 2, 3)
    """
    count = 1
    while -(-min(shape[1:]) // 2**count) > COARSEST_SIDE:
        count += 1
    return count


def coarsest_grid(shape: Shape) -> tuple[int, int]:
    """Height and width of the coarsest grid, rounded up.

    >>> coarsest_grid((1, 28, 28)), coarsest_grid((3, 9, 11))
    ((7, 7), (5, 6))
    """
    cell = 2 ** halvings(shape)
    return -(-shape[1] // cell), -(-shape[2] // cell)


class ConvGenerator(nn.Module):
    """Noise and class to a picture in [-1, 1]: a linear layer to the coarsest grid, then sizes doubled.

    28x28, width 16: 32 channels on 7x7, 16 on 14x14, and four on 14x14 that fold out to 28x28.
    Sizes that are no multiple of the grid's cell are cut from the next larger picture.
    """

    def __init__(self, shape: Shape, classes: int, latent: int, width: int) -> None:
        super().__init__()
        self.shape, self.classes, self.grid = shape, classes, coarsest_grid(shape)
        widths = [width * 2**level for level in reversed(range(halvings(shape)))]
        self.start = nn.Linear(latent + classes, self.grid[0] * self.grid[1] * widths[0])
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, 4 * outputs, 3, padding=1) for inputs, outputs in pairwise([*widths, shape[0]])
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        x = self.start(torch.cat([noise, one_hot(labels, self.classes)], 1))
        x = x.view(len(labels), *self.grid, -1).permute(0, 3, 1, 2)  # channels last in memory
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = F.pixel_shuffle(conv(F.leaky_relu(norm(x), 0.2)), 2)
        cut: Tensor = x[..., : self.shape[1], : self.shape[2]]
        return cut.tanh()


class ConvDiscriminator(nn.Module):
    """Maps a picture in [-1, 1] and its class to the logit of its being real, [n]; mirrors the generator."""

    def __init__(self, shape: Shape, classes: int, width: int, hidden: int = 128) -> None:
        super().__init__()
        rows, columns = coarsest_grid(shape)
        cell = 2 ** halvings(shape)
        self.margin = (0, columns * cell - shape[2], 0, rows * cell - shape[1])
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * shape[0], width, 3, padding=1)]
        for _ in range(halvings(shape) - 1):
            layers += [nn.LeakyReLU(0.2), nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)]
            width *= 2
        layers += [nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(rows * columns * width, hidden)]
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Linear(hidden, classes + 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        padded = F.pad(images, self.margin, value=-1.0) if any(self.margin) else images
        return class_logit(self.layers(padded), labels)


class DCGAN(GAN):
    """The game of `gan.py` between convolutional players.

    latent: numbers of noise a picture is made from; width: channels at half size; rate, contest: as
    for GAN.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        latent: int = 64,
        width: int = 16,
        rate: float = 0.006,
        contest: float = 1.0,
    ) -> None:
        super().__init__(shape, classes, latent=latent, width=width, rate=rate, contest=contest)

    def players(self) -> tuple[nn.Module, nn.Module]:
        return (
            ConvGenerator(self.shape, self.classes, self.latent, self.width),
            ConvDiscriminator(self.shape, self.classes, self.width),
        )

    def recipe(self, pictures: int) -> Recipe:
        return Recipe(steps=800 if pictures < 10_000 else 4000, batch=32, ema=0.995)
