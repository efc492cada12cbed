"""Flow matching: the path is followed as exactly as the method promises, and ends at the data."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from tests.support.training import train_pictures
from tolerate.models.base import generator
from tolerate.models.pictures.base import draws
from tolerate.models.pictures.flow import Flow, heun
from tolerate.models.pictures.latent_flow import AUTOENCODER_SHARE, LatentFlow
from tolerate.models.registry import build


def spots(count: int = 200) -> tuple[Tensor, Tensor]:
    """Class 0 is bright on the left, class 1 on the right, by a varying amount."""
    labels = torch.arange(count) % 2
    level = 0.5 + 0.5 * torch.rand(count, generator=generator(0))
    images = 0.05 * torch.rand(count, 1, 4, 4, generator=generator(1))
    images[labels == 0, :, :, :2] += 0.9 * level[labels == 0, None, None, None]
    images[labels == 1, :, :, 2:] += 0.9 * level[labels == 1, None, None, None]
    return images, labels


def test_heun_is_of_second_order() -> None:
    """x' = x from 1 ends at e; halving the intervals divides the error by about four."""
    errors = [abs(float(heun(lambda x, t: x, torch.ones(1).double(), n)) - math.e) for n in (16, 32, 64)]
    assert errors[0] < 0.1
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(4, rel=0.15)


def test_heun_follows_the_exact_velocity_of_a_normal_to_its_deviation() -> None:
    """For data N(m, s^2) and straight paths the wind is known, and so is where it ends."""
    m, s = 3.0, 0.5

    def velocity(x: Tensor, t: float) -> Tensor:
        variance = (1 - t) ** 2 + (t * s) ** 2
        return m + (t * s**2 - (1 - t)) / variance * (x - t * m)

    end = heun(velocity, torch.randn(20_000, generator=generator(0)).double(), 40)
    assert float(end.mean()) == pytest.approx(m, abs=0.02)
    assert float(end.std()) == pytest.approx(s, rel=0.03)


@pytest.mark.parametrize("name", ["flow", "latent-flow"])
def test_a_flow_ends_at_the_requested_class(name: str) -> None:
    images, labels = spots()
    trained = train_pictures(build(name, (1, 4, 4), 2), images, labels, steps=250, batch=32)
    requests = torch.arange(200) % 2
    drawn = draws(trained.model, requests, seed=1)
    left, right = drawn[..., :2].mean((1, 2, 3)), drawn[..., 2:].mean((1, 2, 3))
    assert float(((left > right) == (requests == 0)).float().mean()) > 0.98
    bright = torch.where(requests == 0, left, right)
    real = torch.where(labels == 0, images[..., :2].mean((1, 2, 3)), images[..., 2:].mean((1, 2, 3)))
    assert float(bright.mean()) == pytest.approx(float(real.mean()), abs=0.06)
    assert 0.6 < float(bright.std() / real.std()) < 1.5
    assert trained.findings == ()


def test_the_second_stage_leaves_the_autoencoder_unchanged() -> None:
    images, labels = spots(32)
    model = build("latent-flow", (1, 4, 4), 2)
    assert isinstance(model, LatentFlow)
    optimizers = model.optimizers()
    rng = generator(0)

    def weights(part: torch.nn.Module) -> Tensor:
        return torch.cat([weight.detach().flatten() for weight in part.parameters()])

    first, second = weights(model.autoencoder), weights(model.denoiser)
    model.step(images, labels, optimizers, rng, AUTOENCODER_SHARE / 2)
    moved = weights(model.autoencoder)
    assert not moved.equal(first)
    assert weights(model.denoiser).equal(second)
    model.step(images, labels, optimizers, rng, (1 + AUTOENCODER_SHARE) / 2)
    assert weights(model.autoencoder).equal(moved)
    assert not weights(model.denoiser).equal(second)


def test_latents_are_brought_to_standard_size() -> None:
    images, labels = spots(64)
    model = build("latent-flow", (1, 4, 4), 2, latent=3)
    assert isinstance(model, LatentFlow)
    with torch.no_grad():
        model.autoencoder.encoder[-1].bias[:3] += 5.0
    z = model._latents(images, labels, generator(0))
    assert z.mean(0).abs().max() < 1e-4
    assert z.std(0, correction=0).numpy() == pytest.approx(1, abs=0.01)
    mean = model.mean.clone()
    model._latents(images[:8], labels[:8], generator(1))
    assert model.mean.equal(mean)


def test_more_rounds_come_nearer_to_the_path() -> None:
    images, labels = spots()
    model = train_pictures(build("flow", (1, 4, 4), 2), images, labels, steps=100, batch=32).model
    assert isinstance(model, Flow)
    requests, drawn = torch.arange(50) % 2, {}
    for model.rounds in (5, 20, 80):
        drawn[model.rounds] = draws(model, requests, seed=3)
    coarse, fine = ((drawn[rounds] - drawn[80]).square().mean() for rounds in (5, 20))
    assert float(fine) < float(coarse) / 2
