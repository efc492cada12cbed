"""The variational autoencoder. Kingma and Welling 2014, "Auto-Encoding Variational Bayes"."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pictures.base import PictureModel, Shape
from tolerate.models.pictures.gaussians import GaussianMixture, fit_mixture
from tolerate.models.pictures.layers import cosine, descend, hidden_units, mlp, pixels, set_rate

CANDIDATES = 8  # samples of the prior for each request and class, of which one is chosen


class VAE(PictureModel):
    """Pictures from latent variables with a standard normal prior; training does not use the labels.

    An encoder gives q(z|x) = N(mean, variance) for each picture (equation 9 of the paper), a decoder
    the probability p(x|z) of white for each pixel, and both maximise the evidence lower bound
    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || N(0, I)) (equations 7 and 10) with one z a picture,
    z = mean + deviation * noise. Pixels between 0 and 1 enter the Bernoulli likelihood as they are.

    A requested class is drawn from the same prior: after training, samples of q give each class a
    Gaussian, hence p(class|z) by Bayes' rule; of several z from N(0, I) one is chosen with probability
    proportional to p(requested class|z). Over all classes the draws are plain samples of the prior.

    beta: weight of the KL term; 1 is the paper's, less makes sharper pictures from a worse prior.
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
        self.encoder = mlp([pixels(shape), *hidden, 2 * latent])
        self.decoder = mlp([latent, *reversed(hidden), pixels(shape)])
        self.shares: Tensor
        self.means: Tensor
        self.factors: Tensor
        self.register_buffer("shares", torch.full((classes,), 1 / classes))  # of each class in the data
        self.register_buffer("means", torch.zeros(classes, latent))  # of each class's latents
        self.register_buffer("factors", torch.eye(latent).repeat(classes, 1, 1))

    def recipe(self, pictures: int) -> Recipe:
        """The recipe: six passes, a minute on MNIST; a few seconds on a set of small pictures.

        Small batches: more steps are worth more than the fuller use of the machine that large ones
        make. No average: the rate ends at 0, and averaging never helped.
        """
        return Recipe(steps=max(800, 6 * pictures // 64), batch=64, ema=0.0)

    def start(self, images: Tensor, labels: Tensor) -> None:
        """Centre the encoder on the mean picture, and let the decoder begin with it."""
        centre_layers(self.encoder, self.decoder, images.flatten(1))

    def optimizers(self) -> Optimizers:
        """Adam with a short memory of squares: the schedule is over before a long one has settled."""
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
        """The two parts of the negative bound in nats, for each picture: -log p(x|z), and KL; [n] each."""
        mean, log_variance = self.encode(images)
        z = reparameterise(mean, log_variance, rng)
        return bernoulli(self.decoder(z), images), gaussian_kl(mean, log_variance)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x): [n, latent] each."""
        mean, log_variance = self.encoder(images.flatten(1)).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """The mean picture of each z: [n, channels, height, width]."""
        return torch.sigmoid(self.decoder(z)).view(-1, *self.shape)

    def reconstruct(self, images: Tensor) -> Tensor:
        """The decoder's mean picture at the encoder's mean: [n, channels, height, width]."""
        return self.decode(self.encode(images)[0])

    def finish(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> None:
        """Fit a Gaussian to the latents of each class."""
        latents = encode_all(self.encode, images, rng)
        self.shares = torch.bincount(labels, minlength=self.classes) / len(labels)
        for label in sorted(set(labels.tolist())):
            gaussian = fit_mixture(latents[labels == label], 1, rng)
            self.means[label], self.factors[label] = gaussian.means[0], gaussian.factors[0]

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Decode samples of the prior, each chosen among several by its probability of the requested class."""
        count = CANDIDATES * self.classes
        z = torch.randn(len(labels) * count, self.latent, generator=rng, device=labels.device)
        by_class = GaussianMixture(self.shares, self.means, self.factors).log_parts(z).log_softmax(1)
        of_request = by_class.view(len(labels), count, -1)[torch.arange(len(labels)), :, labels]  # [n, count]
        chosen = torch.multinomial(of_request.softmax(1), 1, generator=rng)[:, 0]
        return self.decode(z.view(len(labels), count, -1)[torch.arange(len(labels)), chosen])


def centre_layers(encoder: nn.Sequential, decoder: nn.Sequential, x: Tensor) -> None:
    """Standardise the encoder's input pixels, and initialise the decoder's output to the mean picture.

    Folded into weights and biases, so that it costs nothing later. On MNIST worth four nats after a
    minute. x: [n, pixels]; further inputs of the encoder come after the pixels.
    """
    mean = x.mean(0)
    first, middle, last = encoder[0], encoder[-1], decoder[-1]
    assert isinstance(first, nn.Linear) and isinstance(middle, nn.Linear) and isinstance(last, nn.Linear)
    weight = first.weight[:, : len(mean)]
    weight.div_(2 * (x - mean).square().mean().sqrt() + 1e-3)  # 2: as found best on MNIST
    first.bias.sub_(torch.mv(weight, mean))
    middle.weight.mul_(0.1)  # q(z|x) begins near N(0, I)
    last.weight.mul_(0.3)
    last.bias.copy_(torch.logit(mean.clamp(0.01, 0.99)))


def reparameterise(mean: Tensor, log_variance: Tensor, rng: torch.Generator) -> Tensor:
    """A sample of N(mean, variance) that is differentiable in both (section 2.4 of the paper)."""
    noise = torch.randn(mean.shape, generator=rng, device=mean.device, dtype=mean.dtype)
    return mean + (0.5 * log_variance).exp() * noise


def bernoulli(logits: Tensor, images: Tensor) -> Tensor:
    """-log p(x|z) in nats, summed over the pixels of each picture: [n]."""
    return F.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="none").sum(1)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) in nats (appendix B of the paper): [n].

    >>> gaussian_kl(torch.zeros(1, 3), torch.zeros(1, 3)).abs().item()
    0.0
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)


def encode_all(
    encode: Callable[[Tensor], tuple[Tensor, Tensor]], images: Tensor, rng: torch.Generator
) -> Tensor:
    """A sample of q(z|x) for each picture, in parts: [n, latent]."""
    return torch.cat([reparameterise(*encode(part), rng) for part in torch.split(images, 1000)])
