"""Our adversarial generators beside plain textbook ones: equal CPU seconds on MNIST, one feature network.

    python -m benchmarks.mnist_gans --data DIR [--seconds 60] [--seeds 1] [--models gan dcgan wgan-gp r3gan]

The plain ones follow the tutorials that most people start from: usual widths, Adam at 0.0002, turns
taken, no average of weights. All are trained by the same loop on one thread, and drawn from with the
labels of the test pictures. FID rests on a small network of ours, trained once on the training pictures:
compare within a table, never with FIDs of Inception features. `read` is the share of drawings that the
same network reads as the digit asked for.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.data.pictures import idx
from tolerate.models.base import Losses, Optimizers, Recipe
from tolerate.models.pictures.base import PictureModel, Shape, draws
from tolerate.models.pictures.examples import PictureExamples
from tolerate.models.pictures.layers import one_hot
from tolerate.models.pictures.r3gan import squared_slope
from tolerate.models.pictures.wgan_gp import gradient_penalty
from tolerate.models.registry import build
from tolerate.models.training.loop import train
from tolerate.models.training.plan import TrainingOptions

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data")) / "raw" / "mnist"
NOISE = 100


def dense(widths: list[int]) -> nn.Sequential:
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


def up(into: int, channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(into), nn.ReLU(), nn.ConvTranspose2d(into, channels, 4, stride=2, padding=1)]


class PlainGenerator(nn.Module):
    """The textbook generator: 256-512-1024 units, or 128 and 64 channels and transposed convolutions."""

    def __init__(self, convolutional: bool) -> None:
        super().__init__()
        if convolutional:
            start = [nn.Linear(NOISE + 10, 128 * 49), nn.Unflatten(1, (128, 7, 7))]
            self.layers = nn.Sequential(*start, *up(128, 64), *up(64, 1), nn.Tanh())
        else:
            tail = [nn.Tanh(), nn.Unflatten(1, (1, 28, 28))]
            self.layers = nn.Sequential(dense([NOISE + 10, 256, 512, 1024, 784]), *tail)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        pictures: Tensor = self.layers(torch.cat([noise, one_hot(labels, 10)], 1))
        return pictures


class PlainDiscriminator(nn.Module):
    """The textbook discriminator: 1024-512-256 units, or two strided convolutions with the class as planes."""

    def __init__(self, convolutional: bool, norm: bool) -> None:
        super().__init__()
        self.convolutional = convolutional
        if convolutional:
            layers = [nn.Conv2d(11, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1)]
            layers += [nn.BatchNorm2d(128)] if norm else []
            self.layers = nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128 * 49, 1))
        else:
            self.layers = dense([784 + 10, 1024, 512, 256, 1])

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        classes = one_hot(labels, 10)
        if self.convolutional:
            planes = classes[:, :, None, None].expand(-1, -1, 28, 28)
            return self.layers(torch.cat([pictures, planes], 1))[:, 0]
        return self.layers(torch.cat([pictures.flatten(1), classes], 1))[:, 0]


@dataclass(frozen=True)
class Textbook:
    """The settings that distinguish the textbook models."""

    convolutional: bool = True
    norm: bool = True  # batch norm in the discriminator
    rate: float = 2e-4
    beta1: float = 0.5
    turns: int = 1  # steps of the discriminator for one of the generator
    batch: int = 64


TEXTBOOK = {
    "gan": Textbook(convolutional=False),
    "dcgan": Textbook(),
    "wgan-gp": Textbook(norm=False, rate=1e-4, beta1=0.0, turns=5),
    "r3gan": Textbook(norm=False, beta1=0.0),
}


class TextbookModel(PictureModel):
    """A textbook model: alternate steps, losses as published."""

    def __init__(self, shape: Shape, classes: int, *, name: str) -> None:
        super().__init__(shape, classes, name=name)
        self.name, self.book = name, TEXTBOOK[name]
        self.drawer = PlainGenerator(self.book.convolutional)
        self.viewer = PlainDiscriminator(self.book.convolutional, self.book.norm)
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))

    def recipe(self, pictures: int) -> Recipe:
        return Recipe(steps=6000, batch=self.book.batch, ema=0.0)

    def optimizers(self) -> Optimizers:
        players = {"drawer": self.drawer, "viewer": self.viewer}
        betas = (self.book.beta1, 0.999)
        return {
            name: torch.optim.Adam(net.parameters(), self.book.rate, betas) for name, net in players.items()
        }

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        real, drawn = 2 * images - 1, self.pictures(labels, rng)
        optimizers["viewer"].zero_grad()
        self.viewer_loss(real, drawn.detach(), labels, rng).backward()
        optimizers["viewer"].step()
        self.turn += 1
        if int(self.turn) % self.book.turns:
            return {}
        optimizers["drawer"].zero_grad()
        loss = self.drawer_loss(self.viewer(real, labels), self.viewer(drawn, labels))
        loss.backward()
        optimizers["drawer"].step()
        return {"g_loss": loss.detach()}

    def viewer_loss(self, real: Tensor, drawn: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        r, f = self.viewer(real, labels), self.viewer(drawn, labels)
        if self.name == "wgan-gp":
            e = torch.rand(len(labels), generator=rng)
            return f.mean() - r.mean() + 10 * gradient_penalty(self.viewer, real, drawn, labels, e)
        if self.name == "r3gan":
            slopes = squared_slope(self.viewer, real, labels) + squared_slope(self.viewer, drawn, labels)
            return F.softplus(f - r).mean() + 0.5 * slopes
        return F.softplus(-r).mean() + F.softplus(f).mean()

    def drawer_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        if self.name == "wgan-gp":
            return -fake.mean()
        return F.softplus(real - fake if self.name == "r3gan" else -fake).mean()

    def pictures(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        drawn: Tensor = self.drawer(torch.randn(len(labels), NOISE, generator=rng), labels)
        return drawn

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return (self.pictures(labels, rng) + 1) / 2


class Reader(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with max-pooling and ReLU; its 84 last hidden units are the features."""

    def __init__(self) -> None:
        super().__init__()
        convs = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        convs += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        self.features = nn.Sequential(*convs, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
        self.last = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.features(images))
        return logits


def train_reader(images: Tensor, labels: Tensor, passes: int = 2) -> Reader:
    """Train a reader for a few epochs; deterministic."""
    torch.manual_seed(0)
    reader, batch = Reader(), 128
    optimizer = torch.optim.Adam(reader.parameters(), fused=True)
    steps = passes * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    order = torch.cat([torch.randperm(len(images)) for _ in range(passes)])
    for rows in order[: steps * batch].split(batch):
        optimizer.zero_grad()
        F.cross_entropy(reader(images[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return reader.eval()


@torch.no_grad()
def read_pictures(reader: Reader, images: Tensor) -> tuple[np.ndarray, Tensor]:
    """Features [n, 84] and class probabilities [n, 10]."""
    features = torch.cat([reader.features(part) for part in images.split(1000)])
    return features.double().numpy(), reader.last(features).softmax(1)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance of two samples taken as normal (Heusel et al. 2017, Eq. 6)."""
    c, d = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(c)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ d @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * shared)


def inception_score(p: Tensor) -> float:
    """Inception Score: exp of the mean KL divergence from the marginal class distribution (Salimans et al. 2016)."""
    return float((p * (p.clamp(1e-12).log() - p.mean(0).log())).sum(1).mean().exp())


@dataclass(frozen=True)
class TrainingResult:
    """The result of one training."""

    rate: float
    fid: float
    score: float
    read: float


class Bench:
    """Real pictures, the reader, and its features of the test pictures."""

    def __init__(self, data: Path) -> None:
        train_part, test = idx(data, parts=("train",)), idx(data, parts=("t10k",))
        self.images, self.labels = torch.as_tensor(train_part.images), torch.as_tensor(train_part.labels)
        self.test_labels = torch.as_tensor(test.labels)
        self.reader = train_reader(self.images, self.labels)
        self.real, probabilities = read_pictures(self.reader, torch.as_tensor(test.images))
        self.floor = frechet(read_pictures(self.reader, self.images[: len(self.test_labels)])[0], self.real)
        self.accuracy = float((probabilities.argmax(1) == self.test_labels).float().mean())

    def run(self, model: PictureModel, seconds: float, seed: int) -> TrainingResult:
        options = TrainingOptions(budget=seconds, clock="cpu", seed=seed, device="cpu")
        trained = train(model, PictureExamples(self.images, self.labels), options)
        features, probabilities = read_pictures(self.reader, draws(model, self.test_labels, seed=seed))
        read = float((probabilities.argmax(1) == self.test_labels).float().mean())
        fid = frechet(features, self.real)
        return TrainingResult(trained.examples / trained.elapsed, fid, inception_score(probabilities), read)


def plain(name: str, seed: int) -> PictureModel:
    torch.manual_seed(seed)
    return TextbookModel((1, 28, 28), 10, name=name)


def mean(lines: list[TrainingResult]) -> TrainingResult:
    return TrainingResult(*np.mean([[line.rate, line.fid, line.score, line.read] for line in lines], axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder with MNIST's idx files")
    parser.add_argument("--seconds", type=float, default=60, help="CPU seconds of each training")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model")
    parser.add_argument("--models", nargs="+", default=list(TEXTBOOK), choices=list(TEXTBOOK))
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(options.data)
    print(
        f"reader: {bench.accuracy:.2%} of test digits right; FID of training against test: {bench.floor:.2f}"
    )
    print(f"{options.seconds:g} CPU-s of training, one thread; mean of {options.seeds} seeds; pictures/CPU-s")
    print("model     ours: FID   IS    read   rate | plain: FID   IS    read   rate | FID plain / ours")
    for name in options.models:
        seeds = range(options.seeds)
        shape = (1, 28, 28)
        ours = mean([bench.run(build(name, shape, 10, seed=s), options.seconds, s) for s in seeds])
        book = mean([bench.run(plain(name, s), options.seconds, s) for s in seeds])
        cells = (f"{x.fid:9.2f} {x.score:5.2f} {x.read:7.1%} {x.rate:6.0f}" for x in (ours, book))
        print(f"{name:9}", " | ".join(cells), f"| {book.fid / ours.fid:8.1f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
