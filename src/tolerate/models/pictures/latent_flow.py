"""Flow matching in the latent space of an autoencoder.

Lipman et al. 2023, arXiv:2210.02747, for the flow; Rombach et al. 2022, arXiv:2112.10752, for the
two stages; Vahdat, Kreis and Kautz 2021, arXiv:2106.05931.
"""

from typing import TypedDict, Unpack

import torch
from torch import Tensor

from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pictures.base import PictureModel, Shape
from tolerate.models.pictures.cvae import CVAE
from tolerate.models.pictures.flow import Denoiser, heun
from tolerate.models.pictures.layers import cosine, descend, one_hot, set_rate
from tolerate.models.pictures.vae import reparameterise

AUTOENCODER_SHARE = 0.7  # of the training; the autoencoder limits how good the flow can become
REPEATS = 2  # times and noises for each latent: encoding is most of a step's work


class AutoencoderOptions(TypedDict, total=False):
    """Options that are passed on to the autoencoder."""

    latent: int
    hidden: tuple[int, ...] | None
    rate: float


class LatentFlow(PictureModel):
    """An autoencoder with a weak prior first, then a flow from noise to its latents, class by class.

    Equations 22 and 23 of Lipman et al. with x replaced by z drawn from q(z|x). In some twenty
    dimensions the network predicts the velocity itself: it has units enough for noise. The latents are
    brought to about mean 0 and deviation 1 when its stage begins.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        beta: float = 0.2,
        width: int = 192,
        blocks: int = 2,
        rounds: int = 20,
        **autoencoder: Unpack[AutoencoderOptions],
    ) -> None:
        super().__init__(shape, classes, width=width, blocks=blocks, rounds=rounds)
        self.autoencoder = CVAE(shape, classes, beta=beta, **autoencoder)
        self.options |= self.autoencoder.options
        latent, self.rate = self.autoencoder.latent, self.autoencoder.rate
        self.latent, self.rounds = latent, rounds
        self.denoiser = Denoiser(latent, classes, width, blocks)
        self.mean: Tensor
        self.deviation: Tensor
        self.known: Tensor
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("deviation", torch.ones(latent))
        self.register_buffer("known", torch.zeros(()))  # 1 once the two above are set

    def recipe(self, pictures: int) -> Recipe:
        """The recipe of two stages; a step of the second costs about half of one of the first."""
        steps = self.autoencoder.recipe(pictures).steps
        return Recipe(steps=int(1.5 * steps), batch=64, ema=0.99)

    def start(self, images: Tensor, labels: Tensor) -> None:
        self.autoencoder.start(images, labels)

    def optimizers(self) -> Optimizers:
        """The optimisers, one for each stage."""
        flow = torch.optim.Adam(self.denoiser.parameters(), self.rate, betas=(0.9, 0.99), fused=True)
        return {**self.autoencoder.optimizers(), "flow": flow}

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step of the stage that the training is in."""
        if progress < AUTOENCODER_SHARE:
            losses = self.autoencoder.step(images, labels, optimizers, rng, progress / AUTOENCODER_SHARE)
            return {"autoencoder_loss": losses["loss"]}
        set_rate(
            optimizers["flow"], self.rate * cosine((progress - AUTOENCODER_SHARE) / (1 - AUTOENCODER_SHARE))
        )
        z = self._latents(images, labels, rng).repeat(REPEATS, 1)
        y = one_hot(labels, self.classes).repeat(REPEATS, 1)
        t = torch.rand(len(z), 1, generator=rng, device=z.device)
        noise = torch.randn(z.shape, generator=rng, device=z.device)
        velocity = self.denoiser((1 - t) * noise + t * z, t, y)
        loss = (velocity - (z - noise)).square().mean()
        descend(loss, optimizers["flow"])
        return {"loss": loss}

    @torch.no_grad()
    def _latents(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draws from q(z|x), brought to about mean 0 and deviation 1 by the first batch's moments."""
        z = reparameterise(*self.autoencoder.encode(images, labels), rng)
        if not bool(self.known):
            self.mean.copy_(z.mean(0))
            self.deviation.copy_(z.std(0, correction=0) + 1e-3)
            self.known.fill_(1.0)
        return (z - self.mean) / self.deviation

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Integrate the velocity from noise to latents of the requested class, and decode them."""
        y = one_hot(labels, self.classes)
        noise = torch.randn(len(labels), self.latent, generator=rng, device=labels.device)

        def velocity(z: Tensor, t: float) -> Tensor:
            slope: Tensor = self.denoiser(z, torch.full((len(z), 1), t, device=z.device), y)
            return slope

        z = self.mean + self.deviation * heun(velocity, noise, self.rounds)
        return self.autoencoder.decode(z, labels)
