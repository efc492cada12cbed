"""The adversarial generators: shapes, penalties against finite differences, learning, seeds, failures."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.training import train_pictures
from tolerate.models.base import generator
from tolerate.models.pictures.base import draws
from tolerate.models.pictures.dcgan import ConvDiscriminator
from tolerate.models.pictures.gan import GAN, DenseDiscriminator, play_step, rescale
from tolerate.models.pictures.r3gan import squared_slope
from tolerate.models.pictures.wgan_gp import gradient_penalty
from tolerate.models.registry import build
from tolerate.models.training.loop import Trained

NAMES = ["gan", "dcgan", "wgan-gp", "r3gan"]
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 9, 13)]


def gan_model(name: str, shape: tuple[int, int, int] = (1, 8, 8), classes: int = 10, **options: float) -> GAN:
    model = build(name, shape, classes, seed=3, **options)
    assert isinstance(model, GAN)
    return model


def digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels / 16).float().view(-1, 1, 8, 8), torch.tensor(labels).long()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_it_steps_and_draws_in_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    model = gan_model(name, shape, classes=3)
    optimizers, rng = model.optimizers(), generator(0)
    images, labels = torch.rand(6, *shape), torch.tensor([0, 1, 2, 0, 1, 2])
    before = {key: value.clone() for key, value in model.named_parameters()}
    for progress in (0.1, 0.2):
        losses = model.step(images, labels, optimizers, rng, progress)
    assert all(np.isfinite(float(value)) for value in losses.values())
    assert all(not value.equal(before[key]) for key, value in model.named_parameters())
    model.finish(images, labels, rng)
    drawn = draws(model, torch.tensor([2, 2, 0, 1]), seed=1)
    assert drawn.shape == (4, *shape)
    assert 0 <= float(drawn.min()) < float(drawn.max()) <= 1
    assert drawn.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_logged_names_are_those_the_loop_knows(name: str) -> None:
    model = gan_model(name)
    losses = model.step(torch.rand(8, 1, 8, 8), torch.arange(8), model.optimizers(), generator(0), 0.5)
    assert {"d_loss", "g_loss"} <= losses.keys()
    assert ("d_accuracy" in losses) == (name != "wgan-gp")


class Tiny(nn.Module):
    """A critic small and smooth enough for finite differences."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3)).double()

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.layers(images).gather(1, labels[:, None])[:, 0]


def slopes(critic: Tiny, images: Tensor, labels: Tensor, h: float = 1e-5) -> Tensor:
    """The gradient at each picture by central differences, pixel by pixel: [n, 12]."""
    columns = []
    for pixel in range(12):
        nudge = torch.zeros(12).double()
        nudge[pixel] = h
        ahead, behind = (critic(images + sign * nudge.view(1, 3, 4), labels) for sign in (1, -1))
        columns.append((ahead - behind) / (2 * h))
    return torch.stack(columns, 1)


@pytest.fixture
def tiny() -> tuple[Tiny, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    real, fake = torch.rand(2, 6, 1, 3, 4).double()
    return Tiny(), real, fake, torch.tensor([0, 1, 2, 0, 1, 2])


def test_gradient_penalty_is_that_of_finite_differences(tiny: tuple[Tiny, Tensor, Tensor, Tensor]) -> None:
    critic, real, fake, labels = tiny
    e = torch.linspace(0, 1, 6).double()
    between = e.view(-1, 1, 1, 1) * real + (1 - e.view(-1, 1, 1, 1)) * fake
    slow = (slopes(critic, between, labels).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, real, fake, labels, e), slow, rtol=1e-6, atol=0)


def test_r1_and_r2_are_those_of_finite_differences(tiny: tuple[Tiny, Tensor, Tensor, Tensor]) -> None:
    critic, real, fake, labels = tiny
    for images in (real, fake):
        slow = slopes(critic, images, labels).square().sum(1).mean()
        torch.testing.assert_close(squared_slope(critic, images, labels), slow, rtol=1e-6, atol=0)


Penalty = Callable[[Tiny, Tensor, Tensor, Tensor], Tensor]
PENALTIES: dict[str, Penalty] = {
    "gradient penalty": lambda c, x, g, y: gradient_penalty(c, x, g, y, torch.full((6,), 0.3).double()),
    "squared slope": lambda c, x, g, y: squared_slope(c, x, y),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_the_penalties_teach_the_critic(name: str, tiny: tuple[Tiny, Tensor, Tensor, Tensor]) -> None:
    """Their gradient by a weight, which needs the second derivative, is that of finite differences."""
    critic, real, fake, labels = tiny
    weight, h = critic.layers[1].weight, 1e-5
    PENALTIES[name](critic, real, fake, labels).backward()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[2, 3] += sign * h
        values.append(PENALTIES[name](critic, real, fake, labels).item())
        with torch.no_grad():
            weight[2, 3] -= sign * h
    assert weight.grad is not None
    assert weight.grad[2, 3].item() == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_pass_gives_both_players_their_gradients(name: str) -> None:
    """`play_step` gives the gradients that two separate passes, straight from the losses, give."""
    model = gan_model(name)
    labels, rng = torch.arange(10), generator(5)
    drawn = model.generator(model.noise(labels, rng), labels)
    real = torch.rand(10, 1, 8, 8) * 2 - 1
    of_real, of_drawn = model.discriminator(real, labels), model.discriminator(drawn, labels)
    d_loss, g_loss, _ = model.losses(of_real, of_drawn)
    players = (model.discriminator, d_loss), (model.generator, g_loss)
    slow = [torch.autograd.grad(loss, list(net.parameters()), retain_graph=True) for net, loss in players]

    shown = drawn.detach().requires_grad_()
    r, f = model.discriminator(torch.cat([real, shown]), labels.repeat(2)).chunk(2)
    d_loss, g_loss, _ = model.losses(r, f)
    still = {
        "discriminator": torch.optim.SGD(model.discriminator.parameters(), lr=0.0),
        "generator": torch.optim.SGD(model.generator.parameters(), lr=0.0),
    }
    play_step(still, d_loss, g_loss, None, f, shown, drawn)
    for (net, _), expected in zip(players, slow, strict=True):
        for weight, gradient in zip(net.parameters(), expected, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-6)


def test_a_discriminator_without_doubt_leaves_no_infinite_step() -> None:
    assert rescale(torch.tensor([-1.0, -0.5]), torch.tensor([0.0, 0.25])).tolist() == [0.0, -2.0]


@pytest.mark.parametrize("kind", [DenseDiscriminator, ConvDiscriminator])
def test_a_logit_depends_on_its_own_picture_and_class_alone(kind: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    discriminator = kind((1, 8, 8), 4, 8)
    images, labels = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 2, 3, 0])
    together = discriminator(images, labels)
    alone = torch.cat([discriminator(images[i : i + 1], labels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone)
    other = discriminator(images, (labels + 1) % 4)
    assert bool((other != together).all())


def test_penalties_come_every_few_steps_with_a_weight_to_match() -> None:
    model = gan_model("r3gan", every=4)
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    optimizers, rng = model.optimizers(), generator(0)
    has_penalty = ["penalty" in model.step(images, labels, optimizers, rng, 0.5) for _ in range(8)]
    assert has_penalty == [False, False, False, True] * 2


def distance(drawn: Tensor, real: Tensor) -> float:
    """How far apart two sets of pictures lie: energy distance of their pixels (Székely and Rizzo 2013)."""
    a, b = drawn.flatten(1), real.flatten(1)
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


@pytest.fixture(scope="module")
def learned() -> dict[str, Trained]:
    images, labels = digits()
    return {
        name: train_pictures(gan_model(name), images[:700], labels[:700], steps=300, seed=1) for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_short_training_brings_draws_near_the_pictures(name: str, learned: dict[str, Trained]) -> None:
    """In energy distance to pictures that were not trained on, in the mean of classes; no failure is found."""
    trained, images, labels = learned[name], *digits()
    to_real, untrained, to_foreign = [], [], []
    for label in range(10):
        requests = torch.full((200,), label)
        real, foreign = (
            images[700:][labels[700:] == other_label] for other_label in (label, (label + 3) % 10)
        )
        drawn = draws(trained.model, requests, seed=2)
        to_real.append(distance(drawn, real))
        to_foreign.append(distance(drawn, foreign))
        untrained.append(distance(draws(gan_model(name), requests, seed=2), real))
    assert np.mean(to_real) < np.mean(untrained) / 4
    assert np.mean(to_real) < np.mean(to_foreign) / 4
    assert trained.findings == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    images, labels = digits()
    first, second = (
        train_pictures(gan_model(name), images[:64], labels[:64], steps=9, seed=5).model for _ in range(2)
    )
    other = train_pictures(gan_model(name), images[:64], labels[:64], steps=9, seed=6).model
    requests = torch.arange(10)
    assert draws(first, requests, seed=0).equal(draws(second, requests, seed=0))
    assert not draws(first, requests, seed=0).equal(draws(first, requests, seed=1))
    assert not draws(first, requests, seed=0).equal(draws(other, requests, seed=0))


def test_finish_measures_batch_norms_of_the_weights_it_finds() -> None:
    """Afterwards drawing one by one equals drawing with the statistics of a large batch."""
    model = gan_model("dcgan")
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.mul_(1.5)
    labels = torch.arange(10).repeat(30)
    model.eval()
    model.finish(torch.rand(300, 1, 8, 8), labels, generator(0))
    assert not any(layer.training for layer in model.generator.modules())
    noise, classes = model.noise(labels.repeat(10), generator(1)), labels.repeat(10)
    with torch.no_grad():
        from_statistics = model.generator(noise, classes)
        model.generator.train()
        from_batch = model.generator(noise, classes)
    assert float((from_statistics - from_batch).abs().mean()) < 0.02


def test_a_discriminator_that_wins_outright_is_found() -> None:
    images, labels = digits()
    bad = gan_model("dcgan", rate=1e-5, contest=300.0)
    findings = train_pictures(bad, images[:200], labels[:200], steps=200, seed=1).findings
    assert "discriminator-wins" in {finding.kind for finding in findings}


def test_a_learning_rate_far_too_high_is_found() -> None:
    images, labels = digits()
    findings = train_pictures(
        gan_model("gan", rate=1e30), images[:200], labels[:200], steps=40, seed=1
    ).findings
    assert "not-finite" in {finding.kind for finding in findings}


def test_a_generator_that_draws_one_picture_is_found() -> None:
    """Noise that cannot reach the picture is the purest collapse."""
    images, labels = digits()
    model = gan_model("gan")
    with torch.no_grad():
        first = model.generator.get_submodule("layers.0")
        assert isinstance(first, nn.Linear)
        first.weight[:, : model.latent] = 0.0
    kinds = {finding.kind for finding in train_pictures(model, images, labels, steps=1, seed=1).findings}
    assert "collapse" in kinds
