"""Relativistic pairing with R1 and R2. Huang et al. 2024, "The GAN is dead; long live the GAN!".

The discriminator no longer says how real a picture is, but how much more real than another one
(the paper's RpGAN loss, after Jolicoeur-Martineau 2019): a drawing is judged against a real picture of
the same class, so the generator cannot please by drawing only what is judged best on the whole.
Zero-centred penalties on the discriminator's slope at real pictures (R1) and at drawn ones (R2) make
the game converge near its equilibrium (Mescheder et al. 2018; the paper proves it for this loss):

    draw noise z_i, take real pictures x_i of classes y_i, and let t_i = D(x_i, y_i) - D(G(z_i, y_i), y_i)
    step D down   mean softplus(-t_i) + gamma / 2 * (mean |grad D(x_i, y_i)|^2 + mean |grad D(G(z_i), y_i)|^2)
    step G down   mean softplus(t_i)

Why it draws better than its plain version: the reasons given in `gan.py` and `dcgan.py`, whose step and
players it shares (the paper's are residual nets without batch norm, which pay off on larger pictures and
budgets), and the penalties, which cost three times as much as a pass without, are computed on a part of every
eighth batch only, with eight times the weight (lazily: Karras et al. 2020): the same in the mean, a tenth
of the time. Why better than `dcgan.py`: without a penalty D ends up too steep, and the generator keeps
circling instead of settling.
"""

from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.models.pictures.base import Shape
from tolerate.models.pictures.dcgan import DCGAN
from tolerate.models.pictures.gan import PlayerOptions
from tolerate.models.pictures.layers import pixels


def squared_slope(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The mean squared length of the discriminator's gradient at these pictures: R1 at real ones, R2 at drawn ones."""
    images = images.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()


class R3GAN(DCGAN):
    """The players of `dcgan.py` with the relativistic loss and both penalties.

    gamma: weight of the penalties for each thousand numbers of a picture (it has to grow with them: Karras
    et al. 2020); they are computed every so many steps on this share of the batch; latent, width, rate,
    contest: as for DCGAN.
    """

    turn: Tensor  # steps done: a buffer, so that a resumed training penalises the same steps

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        rate: float = 0.006,
        gamma: float = 0.06,
        every: int = 8,
        share: float = 0.5,
        **players: Unpack[PlayerOptions],
    ) -> None:
        super().__init__(shape, classes, rate=rate, **players)
        self.options |= {"gamma": gamma, "every": every, "share": share}
        self.gamma, self.every, self.share = gamma * pixels(shape) / 1000, every, share
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))

    def losses(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        ahead = real - fake
        return F.softplus(-ahead).mean(), F.softplus(ahead).mean(), (ahead > 0).float().mean()

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor | None:
        self.turn += 1
        if int(self.turn) % self.every:
            return None
        n = max(1, round(self.share * len(labels)))
        both, classes = torch.cat([real[:n], fake[:n]]), labels[:n].repeat(2)
        weight = self.every * self.gamma  # gamma / 2 for each of the two, and the slope is a mean over both
        return weight * squared_slope(self.discriminator, both, classes)
