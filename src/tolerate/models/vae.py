"""The variational autoencoder. Kingma and Welling 2014, "Auto-Encoding Variational Bayes"."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tolerate.models.layers import cosine, mlp, one_hot, pixels, set_rate
from tolerate.models.model import Losses, Model, Optimizers, Shape


class VAE(Model):
    """First version."""

    def __init__(self, shape: Shape, classes: int, *, hidden: int = 400, latent: int = 20) -> None:
        super().__init__(shape, classes, hidden=hidden, latent=latent)
        self.latent = latent
        self.encoder = mlp([pixels(shape) + classes, hidden, 2 * latent])
        self.decoder = mlp([latent + classes, hidden, pixels(shape)])

    def optimizers(self) -> Optimizers:
        """Adam."""
        return {"adam": torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)}

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """One step up the evidence lower bound."""
        set_rate(optimizers["adam"], 2e-3 * cosine(progress))
        y, x = one_hot(labels, self.classes), images.flatten(1)
        mean, log_variance = self.encoder(torch.cat([x, y], 1)).chunk(2, 1)
        noise = torch.randn(mean.shape, generator=rng, device=mean.device)
        z = mean + (0.5 * log_variance).exp() * noise
        logits = self.decoder(torch.cat([z, y], 1))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
        loss = reconstruction + kl
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        optimizers["adam"].step()
        return {"loss": loss.detach(), "reconstruction": reconstruction.detach(), "kl": kl.detach()}

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Decode draws from the prior."""
        z = torch.randn(len(labels), self.latent, generator=rng, device=labels.device)
        logits = self.decoder(torch.cat([z, one_hot(labels, self.classes)], 1))
        return torch.sigmoid(logits).view(-1, *self.shape)
