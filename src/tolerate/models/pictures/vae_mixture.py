"""An autoencoder with a density fitted to its latents: as many Gaussians a class as the data bear.

Ghosh, Sajjadi, Vergari, Black and Schoelkopf 2020, "From Variational to Deterministic Autoencoders",
section 4 (ex-post density estimation); Higgins et al. 2017 for the weight beta.
"""

import torch
from torch import Tensor

from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pictures.base import PictureModel, Shape
from tolerate.models.pictures.cvae import CVAE
from tolerate.models.pictures.gaussians import GaussianMixture, fit_mixture
from tolerate.models.pictures.vae import reparameterise

POINTS_PER_DIMENSION = 8  # latents for each dimension of a Gaussian, at least

SHARPNESS_PICTURES = 1000  # that the sharpness is fitted to


class MixtureVAE(PictureModel):
    """A variational autoencoder with a weak prior, and a mixture of Gaussians in the prior's place.

    With a small weight beta on the KL term the decoder is sharp, but the latents no longer fill
    N(0, I), so that draws from it fall where no picture was. What they do fill, the aggregate
    posterior of each class, is fitted after training by a mixture with full covariances, and drawn
    from. And a decoder's mean picture is greyer than any real one where it is unsure of an edge: its
    log odds are multiplied by the one number that makes draws as crisp as the pictures, in the mean
    of x (1 - x) over pixels. It is no longer the paper's generative model, and much the best per
    second of training. Encoder and decoder are conditioned on the class, as in `cvae`, so that a draw
    between two Gaussians stays in its class.

    beta: 0.1 to 0.4 do about equally well; components: of each class, fewer where it has few pictures.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int,
        *,
        latent: int = 20,
        hidden: tuple[int, ...] | None = None,
        beta: float = 0.3,
        components: int = 20,
        rate: float = 3e-3,
    ) -> None:
        super().__init__(
            shape,
            classes,
            latent=latent,
            hidden=hidden,
            beta=beta,
            components=components,
            rate=rate,
        )
        self.components = components
        self.autoencoder = CVAE(shape, classes, latent=latent, hidden=hidden, beta=beta, rate=rate)
        self.weights: Tensor
        self.means: Tensor
        self.factors: Tensor
        self.sharpness: Tensor
        self.register_buffer("weights", torch.zeros(classes, components))
        self.register_buffer("means", torch.zeros(classes, components, latent))
        self.register_buffer("factors", torch.zeros(classes, components, latent, latent))
        self.register_buffer("sharpness", torch.ones(()))  # the factor of the log odds
        self.weights[:, 0] = 1.0
        self.factors[:, 0] = torch.eye(latent)

    def recipe(self, pictures: int) -> Recipe:
        return self.autoencoder.recipe(pictures)

    def start(self, images: Tensor, labels: Tensor) -> None:
        self.autoencoder.start(images, labels)

    def optimizers(self) -> Optimizers:
        return self.autoencoder.optimizers()

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step of the autoencoder."""
        return self.autoencoder.step(images, labels, optimizers, rng, progress)

    def finish(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> None:
        """Fit a mixture to the latents of each class, then the sharpness of draws."""
        self._fit_mixtures(images, labels, rng)
        sample = torch.randperm(len(images), generator=rng, device=images.device)[:SHARPNESS_PICTURES]
        logits = self.autoencoder.logits(self._latents(labels[sample], rng), labels[sample])
        self.sharpness.fill_(fit_sharpness(logits, images[sample]))

    def _fit_mixtures(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> None:
        """Fit a mixture to each class; unused components keep weight 0."""
        latents = encode_all(self.autoencoder, images, labels, rng)
        for label in sorted(set(labels.tolist())):
            points = latents[labels == label]
            components = max(1, len(points) // (POINTS_PER_DIMENSION * points.shape[1]))
            mixture = fit_mixture(points, min(self.components, components), rng)
            used = len(mixture.weights)
            self.weights[label] = 0.0
            self.weights[label, :used] = mixture.weights
            self.means[label, :used], self.factors[label, :used] = mixture.means, mixture.factors

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Decode samples from the mixture of the requested class."""
        logits = self.autoencoder.logits(self._latents(labels, rng), labels)
        return torch.sigmoid(self.sharpness * logits).view(-1, *self.shape)

    def _latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Samples from the mixture of each requested class: [n, latent]."""
        z = torch.zeros(len(labels), self.means.shape[2], device=labels.device)
        for label in sorted(set(labels.tolist())):
            mask = labels == label
            mixture = GaussianMixture(self.weights[label], self.means[label], self.factors[label])
            z[mask] = mixture.draw(int(mask.sum()), rng)
        return z


def fit_sharpness(logits: Tensor, images: Tensor) -> float:
    """The factor of log odds, 1/4 to 4, at which the mean of p (1 - p) is that of real pictures.

    >>> real = torch.tensor([[0.0, 0.1, 0.9, 1.0]])
    >>> 2 < fit_sharpness(torch.tensor([[-1.0, -1.0, 1.0, 1.0]]), real) < 4
    True
    """
    grey = float((images * (1 - images)).mean())
    low, high = 0.25, 4.0  # p (1 - p) falls as the factor rises
    for _ in range(20):
        middle = (low * high) ** 0.5
        p = torch.sigmoid(middle * logits)
        low, high = (middle, high) if float((p * (1 - p)).mean()) > grey else (low, middle)
    return low


def encode_all(autoencoder: CVAE, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """A draw from q(z|x, y) for each of many pictures: [n, latent]."""
    parts = zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True)
    return torch.cat([reparameterise(*autoencoder.encode(x, y), rng) for x, y in parts])
