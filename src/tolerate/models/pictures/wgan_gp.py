"""A Wasserstein critic with gradient penalty. Gulrajani et al. 2017, "Improved Training of Wasserstein GANs".

The critic's mean difference between real and drawn pictures is, if its slope is at most 1 everywhere,
a lower bound on the Wasserstein-1 distance between them (Kantorovich and Rubinstein). Algorithm 1,
with the loss of Eq. 3:

    draw noise z, take real pictures x of classes y, and put a point x' = e x + (1 - e) G(z, y) between
    each pair, e uniform on [0, 1]
    step D down   mean D(G(z, y), y) - mean D(x, y) + weight * mean (|grad D(x', y)| - 1)^2
    step G down   - mean D(G(z, y), y)

What is different, and why: the paper takes five steps of the critic for one of the generator, and
computes the penalty at every point. Here both step together (`play_step`), at forty times the paper's
learning rate, on the players of `dcgan.py`, and the penalty, which costs three times as much as a
pass without, is computed on a part of every fourth batch, with four times the weight: many more pictures
in the same time. A critic's logits have no zero between real and drawn, so no share "told apart" is logged.
"""

from typing import Unpack

import torch
from torch import Tensor, nn

from tolerate.models.pictures.base import Shape
from tolerate.models.pictures.dcgan import DCGAN
from tolerate.models.pictures.gan import PlayerOptions


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, e: Tensor) -> Tensor:
    """Mean squared distance from 1 of the critic's slope between real and drawn pictures (Eq. 3).

    real, fake: [n, channels, height, width]; e: where between them, [n], 1 at the real one.
    """
    e = e.view(-1, 1, 1, 1)
    between = (e * real + (1 - e) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)
    length = (slope.square().sum((1, 2, 3)) + 1e-12).sqrt()  # the root of 0 has no slope
    return (length - 1).square().mean()


class WGANGP(DCGAN):
    """The players of `dcgan.py` with the losses of a Wasserstein critic.

    weight: of the gradient penalty, which is computed every so many steps on this share of the batch;
    latent, width, rate, contest: as for DCGAN.
    """

    turn: Tensor  # steps done: a buffer, so that a resumed training penalises the same steps

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        rate: float = 0.004,
        weight: float = 3.0,
        every: int = 4,
        share: float = 0.5,
        **players: Unpack[PlayerOptions],
    ) -> None:
        super().__init__(shape, classes, rate=rate, **players)
        self.options |= {"weight": weight, "every": every, "share": share}
        self.weight, self.every, self.share = weight, every, share
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))

    def losses(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return fake.mean() - real.mean(), -fake.mean(), None

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor | None:
        self.turn += 1
        if int(self.turn) % self.every:
            return None
        n = max(1, round(self.share * len(labels)))
        e = torch.rand(n, generator=rng, device=real.device)
        slope = gradient_penalty(self.discriminator, real[:n], fake[:n], labels[:n], e)
        return self.every * self.weight * slope
