"""Flow matching in pixel space. Lipman, Chen, Ben-Hamu, Nickel and Le 2023, arXiv:2210.02747."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pictures.base import PictureModel, Shape
from tolerate.models.pictures.layers import (
    cosine,
    descend,
    is_small,
    one_hot,
    pixels,
    set_rate,
    time_features,
)

TIME_PAIRS = 16  # sines and cosines that encode the time


class Flow(PictureModel):
    """Integrates a learned velocity field from noise at time 0 to pictures at time 1.

    Training (equation 23, with the straight paths of equation 22 and no noise left at the end):
    x_t = (1 - t) noise + t x; the velocity to match is x - noise. The network predicts the picture
    at the end, and the velocity is (expected - x_t) / (1 - t): a network of a few hundred units
    can represent pictures, which lie near a low-dimensional manifold, but not noise, which does not
    (Li and He 2025, arXiv:2511.13720). Errors in that picture count the same at every time, which
    gives early times, where a picture's class and shape are settled, more weight than equation 23
    does: on MNIST the Frechet distance after a minute was a quarter of that with its own weights.
    Drawing: Heun's method in `rounds` intervals; more were not better.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        hidden: int | None = None,
        blocks: int = 2,
        rounds: int = 10,
        rate: float = 1e-3,
    ) -> None:
        super().__init__(shape, classes, hidden=hidden, blocks=blocks, rounds=rounds, rate=rate)
        self.rounds, self.rate = rounds, rate
        self.denoiser = Denoiser(pixels(shape), classes, hidden or (256 if is_small(shape) else 512), blocks)

    def recipe(self, pictures: int) -> Recipe:
        """The recipe: three passes, a minute on MNIST; averaged weights, since each step sees other times and noise."""
        return Recipe(steps=max(1000, 3 * pictures // 64), batch=64, ema=0.99)

    def optimizers(self) -> Optimizers:
        """Adam, as in the other models of this package."""
        return {"adam": torch.optim.Adam(self.parameters(), self.rate, betas=(0.9, 0.99), fused=True)}

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step of conditional flow matching."""
        set_rate(optimizers["adam"], self.rate * cosine(progress))
        x, y = 2 * images.flatten(1) - 1, one_hot(labels, self.classes)
        t, noise = _times(len(x), rng, x.device), torch.randn(x.shape, generator=rng, device=x.device)
        expected = self.denoiser((1 - t) * noise + t * x, t, y).tanh()
        loss = (expected - x).square().mean()  # equation 23 times (1 - t)^2
        descend(loss, optimizers["adam"])
        return {"loss": loss}

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Integrate the velocity from noise to a picture of the requested class."""
        y = one_hot(labels, self.classes)
        noise = torch.randn(len(labels), pixels(self.shape), generator=rng, device=labels.device)

        def velocity(x: Tensor, t: float) -> Tensor:
            times = torch.full((len(x), 1), t, device=x.device)
            expected: Tensor = self.denoiser(x, times, y).tanh()
            return (expected - x) / (1 - t)

        return (heun(velocity, noise, self.rounds) / 2 + 0.5).clamp(0, 1).view(-1, *self.shape)


class Denoiser(nn.Module):
    """Residual layers from a noisy vector to a vector of the same size, conditioned on the time and the class."""

    def __init__(self, width: int, classes: int, hidden: int, blocks: int) -> None:
        super().__init__()
        self.into = nn.Linear(width, hidden)
        self.told = nn.ModuleList(nn.Linear(2 * TIME_PAIRS + classes, hidden) for _ in range(blocks + 1))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
            )
            for _ in range(blocks)
        )
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """x: [n, width]; t: [n, 1] in [0, 1]; y: [n, classes] of zeros and a one."""
        condition = torch.cat([time_features(t, TIME_PAIRS), y], 1)
        h = self.into(x) + self.told[0](condition)
        for block, project in zip(self.blocks, self.told[1:], strict=True):
            h = h + block(h + project(condition))
        answer: Tensor = self.out(h)
        return answer


def heun(velocity: Callable[[Tensor, float], Tensor], x: Tensor, rounds: int) -> Tensor:
    """Integrate a velocity field from time 0 to 1 by Heun's method, the last interval by Euler's.

    >>> heun(lambda x, t: torch.ones_like(x), torch.zeros(1), rounds=4)
    tensor([1.])
    """
    for start, end in pairwise(step / rounds for step in range(rounds + 1)):
        slope = velocity(x, start)
        if end < 1:
            slope = (slope + velocity(x + (end - start) * slope, end)) / 2
        x = x + (end - start) * slope
    return x


def _times(count: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Uniform times, evenly spread over each batch: [count, 1]."""
    start = torch.rand(1, generator=rng, device=device)
    return ((torch.arange(count, device=device) / count + start) % 1)[:, None]
