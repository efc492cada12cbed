"""Autoencoders: the bound is the papers', the fitted density is the data's, draws show the requested class."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch import Tensor

from tests.support.training import train_pictures
from tolerate.models.base import generator
from tolerate.models.pictures.base import draws
from tolerate.models.pictures.cvae import CVAE
from tolerate.models.pictures.gaussians import GaussianMixture, fit_mixture
from tolerate.models.pictures.vae import VAE, bernoulli, gaussian_kl, reparameterise
from tolerate.models.pictures.vae_mixture import MixtureVAE, fit_sharpness
from tolerate.models.registry import build

TRAINED = 700  # digits that generators see; the others teach the reader and test it


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, SVC]:
    """Pictures and labels to learn from, and a reader that learned from others."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order] / 16, labels[order]
    reader = SVC(gamma=0.5, C=10).fit(images[TRAINED:1400], labels[TRAINED:1400])
    assert reader.score(images[1400:], labels[1400:]) > 0.98
    pictures = torch.tensor(images[:TRAINED]).float().view(-1, 1, 8, 8)
    return pictures, torch.tensor(labels[:TRAINED]), reader


def test_kl_is_that_of_the_paper() -> None:
    """Against the integral, by a million draws."""
    mean, log_variance = torch.tensor([[0.7, -1.2]]), torch.tensor([[0.4, -1.5]])
    z = reparameterise(mean.expand(10**6, 2), log_variance.expand(10**6, 2), generator(0)).double()
    deviation = (0.5 * log_variance).exp()
    log_ratio = -0.5 * ((z - mean) / deviation) ** 2 - deviation.log() + 0.5 * z**2
    assert float(gaussian_kl(mean, log_variance)) == pytest.approx(float(log_ratio.sum(1).mean()), abs=0.01)


def test_likelihood_is_bernoullis() -> None:
    p, x = torch.tensor([[0.2, 0.9]]), torch.tensor([[1.0, 0.0]])
    assert float(bernoulli(torch.logit(p), x)) == pytest.approx(-math.log(0.2) - math.log(0.1), rel=1e-5)
    grey = torch.tensor([[0.3, 0.5]])
    expected = -(0.3 * math.log(0.2) + 0.7 * math.log(0.8)) - 0.5 * (math.log(0.9) + math.log(0.1))
    assert float(bernoulli(torch.logit(p), grey)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [VAE, CVAE])
def test_the_bound_falls_short_of_the_likelihood_by_the_divergence_of_the_posteriors(
    kind: type[VAE] | type[CVAE],
) -> None:
    """bound = log p(x) - KL(q(z|x) || p(z|x)), both of the right by sums over a grid of z."""
    image, label = torch.rand(1, 1, 3, 3, generator=generator(1)).round(), torch.tensor([1])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind((1, 3, 3), 2, latent=2, hidden=(8,))
    axis = torch.linspace(-7, 7, 401)
    z, cell = torch.cartesian_prod(axis, axis), float(axis[1] - axis[0]) ** 2
    many = 100_000
    with torch.no_grad():
        parts = model.bound(image.expand(many, -1, -1, -1), label.expand(many), generator(2))
        bound = -float(sum(part.mean() for part in parts))
        if isinstance(model, CVAE):
            (mean, log_variance), logits = model.encode(image, label), model.logits(z, label.expand(len(z)))
        else:
            (mean, log_variance), logits = model.encode(image), model.decoder(z)
        log_joint = _log_normal(z, torch.zeros(1, 2), torch.zeros(1, 2)) - bernoulli(
            logits, image.expand(len(z), -1, -1, -1)
        )
        log_p = float(log_joint.logsumexp(0)) + math.log(cell)
        log_q = _log_normal(z, mean, log_variance)
        divergence = float((log_q.exp() * (log_q - log_joint + log_p)).sum()) * cell
    assert divergence > 0.1
    assert bound == pytest.approx(log_p - divergence, abs=0.05)


def _log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    squares = (z - mean).square() / log_variance.exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(1)


def test_centring_leaves_pixels_standard_and_begins_with_the_mean_picture() -> None:
    images = torch.rand(500, 1, 6, 6, generator=generator(0)) * torch.linspace(0, 1, 36).view(1, 6, 6)
    model = VAE((1, 6, 6), 2)
    with torch.no_grad():
        before = model.encoder[0].weight.clone()
        model.start(images, torch.zeros(500, dtype=torch.long))
        pixels = images.flatten(1)
        scale = 2 * (pixels - pixels.mean(0)).square().mean().sqrt() + 1e-3
        expected = (pixels - pixels.mean(0)) / scale @ before.T
        torch.testing.assert_close(model.encoder[0](pixels), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            model.decoder[-1].bias.sigmoid(), pixels.mean(0).clamp(0.01, 0.99), atol=1e-4, rtol=1e-3
        )


def test_training_raises_the_bound_and_beats_what_a_picture_of_means_gives(
    digits: tuple[Tensor, Tensor, SVC],
) -> None:
    images, labels, _ = digits
    trained = train_pictures(build("vae", (1, 8, 8), 10), images[:500], labels[:500], steps=300, batch=64)
    with torch.no_grad():
        reconstruction, kl = trained.model.bound(images[500:], labels[500:], generator(0))
    mean = images[:500].flatten(1).mean(0).clamp(0.01, 0.99)
    blind = bernoulli(torch.logit(mean).expand(200, 64), images[500:]).mean()
    assert float((reconstruction + kl).mean()) < float(blind) - 1
    assert trained.history[0]["loss"] > trained.history[-1]["loss"]


def test_a_vae_draws_over_all_classes_from_its_prior() -> None:
    """Requests in the classes' own shares: the latents taken have the prior's moments."""
    noise = 0.2 * torch.rand(200, 1, 4, 4, generator=generator(0))
    images = torch.cat([noise[:150], 1 - noise[150:]])
    labels = torch.cat([torch.zeros(150), torch.ones(50)]).long()
    model = train_pictures(build("vae", (1, 4, 4), 2, latent=3), images, labels, steps=150, batch=32).model
    taken: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    requests = (torch.rand(8000, generator=generator(0)) < 0.25).long()
    drawn = draws(model, requests, seed=0, batch=8000)
    z = taken[-1]
    assert z.mean(0).abs().max() < 0.12
    assert (z.var(0) - 1).abs().max() < 0.15
    bright = drawn.flatten(1).mean(1) > 0.5
    # draws between the classes are the prior's own fault; a blind choice would be right 62.5% of the time
    assert float((bright == (requests == 1)).float().mean()) > 0.9


def log_density(mixture: GaussianMixture, points: Tensor) -> Tensor:
    return mixture.log_parts(points).logsumexp(1)


def test_log_density_of_a_mixture_is_scipys() -> None:
    rng = generator(0)
    factors = torch.tril(0.3 * torch.randn(3, 4, 4, generator=rng)) + torch.eye(4)
    mixture = GaussianMixture(torch.tensor([0.2, 0.5, 0.3]), torch.randn(3, 4, generator=rng), factors)
    points = torch.randn(50, 4, generator=rng)
    parts = zip(mixture.weights, mixture.means, factors, strict=True)
    density = sum(
        float(weight) * multivariate_normal.pdf(points.numpy(), mean.numpy(), (factor @ factor.T).numpy())
        for weight, mean, factor in parts
    )
    np.testing.assert_allclose(log_density(mixture, points).numpy(), np.log(density), rtol=1e-3, atol=1e-3)


def test_a_fitted_mixture_is_the_one_that_made_the_points() -> None:
    factors = torch.tensor([[[1.0, 0.0], [0.8, 0.3]], [[0.5, 0.0], [0.0, 2.0]]])
    truth = GaussianMixture(torch.tensor([0.3, 0.7]), torch.tensor([[6.0, 0.0], [-4.0, 1.0]]), factors)
    fitted = fit_mixture(truth.draw(6000, generator(1)), 2, generator(2))
    order = fitted.means[:, 0].argsort(descending=True)
    torch.testing.assert_close(fitted.weights[order], truth.weights, atol=0.02, rtol=0)
    torch.testing.assert_close(fitted.means[order], truth.means, atol=0.15, rtol=0)
    covariances = fitted.factors[order] @ fitted.factors[order].mT
    torch.testing.assert_close(covariances, factors @ factors.mT, atol=0.3, rtol=0.1)


def test_expectation_and_maximisation_raise_the_likelihood() -> None:
    points = torch.rand(800, 3, generator=generator(0)) ** 2
    fits = [fit_mixture(points, 6, generator(1), rounds=rounds) for rounds in (0, 1, 3, 10, 30)]
    likelihood = [float(log_density(mixture, points).mean()) for mixture in fits]
    assert likelihood == sorted(likelihood)
    assert likelihood[-1] > float(log_density(fit_mixture(points, 1, generator(1)), points).mean())


@pytest.mark.parametrize("points", [torch.zeros(5, 3), torch.ones(1, 3), torch.rand(4, 3)])
def test_a_mixture_of_few_or_equal_points_stays_finite(points: Tensor) -> None:
    fitted = fit_mixture(points, 8, generator(0))
    assert log_density(fitted, points).isfinite().all()
    assert fitted.draw(10, generator(1)).isfinite().all()


def test_sharpness_makes_draws_as_crisp_as_pictures() -> None:
    images = torch.rand(200, 1, 8, 8, generator=generator(0)) ** 3
    for factor in (0.5, 1.0, 3.0):
        logits = torch.logit(images.clamp(1e-4, 1 - 1e-4)) / factor
        assert fit_sharpness(logits, images) == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize(("name", "steps"), [("cvae", 300), ("vae-mixture", None)])
def test_digits_are_read_as_requested(
    name: str, steps: int | None, digits: tuple[Tensor, Tensor, SVC]
) -> None:
    """At least 98 in 100, by a reader that learned from other digits."""
    images, labels, reader = digits
    trained = train_pictures(build(name, (1, 8, 8), 10), images, labels, steps=steps)
    requests = torch.arange(3000) % 10
    read = reader.predict(draws(trained.model, requests, seed=1).flatten(1).numpy())
    assert (read == requests.numpy()).mean() >= 0.98
    assert trained.findings == ()


def test_fewer_pictures_fewer_gaussians(digits: tuple[Tensor, Tensor, SVC]) -> None:
    images, labels, _ = digits
    model = train_pictures(build("vae-mixture", (1, 8, 8), 10), images[:50], labels[:50], steps=5).model
    assert isinstance(model, MixtureVAE)
    assert (model.weights > 0).sum(1).tolist() == [1] * 10
