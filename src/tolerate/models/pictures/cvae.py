"""The conditional variational autoencoder.

Kingma, Mohamed, Rezende and Welling 2014, "Semi-Supervised Learning with Deep Generative Models"
(model M2 with all labels known); Sohn, Lee and Yan 2015.
"""

import torch
from torch import Tensor

from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pictures.base import PictureModel, Shape
from tolerate.models.pictures.layers import cosine, descend, hidden_units, mlp, one_hot, pixels, set_rate
from tolerate.models.pictures.vae import bernoulli, centre_layers, gaussian_kl, reparameterise


class CVAE(PictureModel):
    """A variational autoencoder whose encoder and decoder are conditioned on the class.

    Maximises a lower bound: log p(x|y) >= E_q[log p(x|y, z)] - KL(q(z|x, y) || N(0, I)) (equation 6 of Kingma et al.,
    without the terms of p(y)). The class need not be stored in z, which keeps the style; a picture
    of class y is drawn by decoding a z of the prior together with y.

    beta: weight of the KL term; 1 is the paper's. The other options are those of `vae`.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        latent: int = 20,
        hidden: tuple[int, ...] | None = None,
        beta: float = 1.0,
        rate: float = 3e-3,
    ) -> None:
        super().__init__(shape, classes, latent=latent, hidden=hidden, beta=beta, rate=rate)
        self.latent, self.beta, self.rate = latent, beta, rate
        hidden = hidden or hidden_units(shape)
        self.encoder = mlp([pixels(shape) + classes, *hidden, 2 * latent])
        self.decoder = mlp([latent + classes, *reversed(hidden), pixels(shape)])

    def recipe(self, pictures: int) -> Recipe:
        return Recipe(steps=max(800, 6 * pictures // 64), batch=64, ema=0.0)

    def start(self, images: Tensor, labels: Tensor) -> None:
        centre_layers(self.encoder, self.decoder, images.flatten(1))

    def optimizers(self) -> Optimizers:
        return {"adam": torch.optim.Adam(self.parameters(), self.rate, betas=(0.9, 0.99), fused=True)}

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step up the bound."""
        set_rate(optimizers["adam"], self.rate * cosine(progress))
        reconstruction, kl = (part.mean() for part in self.bound(images, labels, rng))
        descend(reconstruction + self.beta * kl, optimizers["adam"])
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def bound(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """The two parts of the negative bound on log p(x|y) in nats, for each picture: [n] each."""
        mean, log_variance = self.encode(images, labels)
        z = reparameterise(mean, log_variance, rng)
        return bernoulli(self.logits(z, labels), images), gaussian_kl(mean, log_variance)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x, y): [n, latent] each."""
        x, y = images.flatten(1), one_hot(labels, self.classes)
        mean, log_variance = self.encoder(torch.cat([x, y], 1)).chunk(2, 1)
        return mean, log_variance

    def logits(self, z: Tensor, labels: Tensor) -> Tensor:
        """Log odds of white for each pixel: [n, pixels]."""
        logits: Tensor = self.decoder(torch.cat([z, one_hot(labels, self.classes)], 1))
        return logits

    def decode(self, z: Tensor, labels: Tensor) -> Tensor:
        """The mean picture of each z in its class: [n, channels, height, width]."""
        return torch.sigmoid(self.logits(z, labels)).view(-1, *self.shape)

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Decode samples of the prior together with the requested class."""
        z = torch.randn(len(labels), self.latent, generator=rng, device=labels.device)
        return self.decode(z, labels)
