"""How good our likelihood and flow models' drawings of MNIST are after equal CPU seconds of training.

    python -m benchmarks.mnist_quality [--data DIR] [--seconds 60] [--seeds 1] [--models vae-mixture ...]

Frechet distance (FID) and Inception Score by one small network trained on the training pictures; 10,000
drawings with the labels of the test pictures, which are the reference. Compare within a table, never
with FIDs of Inception features: the first line is the distance of the training pictures from the test pictures.
The seconds include the complete training, with the fitting of densities. `copies` is the share of drawings
nearer to a training picture than 99% of test pictures are, which would be 1% for new real digits. The
ratio is to the plain textbook model, a VAE that draws from its prior.
"""

import numpy as np
import torch
from torch import Tensor

from benchmarks._mnist import SHAPE, Mnist, Stopwatch, begin, mnist, options, say
from benchmarks.mnist_gans import frechet, inception_score, read_pictures, train_reader
from tolerate.models.pictures.base import draws
from tolerate.models.pictures.examples import PictureExamples
from tolerate.models.registry import build
from tolerate.models.training.loop import train
from tolerate.models.training.plan import TrainingOptions

MODELS = ("vae", "cvae", "vae-mixture", "latent-flow", "flow")
FITTING = {"vae": 1.0, "vae-mixture": 6.0}  # CPU seconds kept back for what follows the last step
LOOKED = 1000  # drawings whose nearest training picture is looked for


class Judge:
    """Features of the real test pictures, and their distances to the training pictures."""

    def __init__(self, data: Mnist) -> None:
        self.data, self.reader = data, train_reader(data.images, data.labels)
        self.real, probabilities = read_pictures(self.reader, data.test_images)
        self.accuracy = float((probabilities.argmax(1) == data.test_labels).float().mean())
        self.floor = frechet(read_pictures(self.reader, data.images[:10_000])[0], self.real)
        self.near = float(np.quantile(self.distances(data.test_images[:LOOKED]), 0.01))

    def distances(self, images: Tensor) -> np.ndarray:
        """Distance of each picture to the nearest training picture, in pixels."""
        flat = self.data.images.flatten(1)
        parts = [torch.cdist(part.flatten(1), flat).min(1).values for part in images.split(250)]
        return torch.cat(parts).numpy()

    def weigh(self, drawn: Tensor) -> tuple[float, float, float, float]:
        """FID, Inception Score, share read as asked, share of near-copies."""
        features, probabilities = read_pictures(self.reader, drawn)
        read = float((probabilities.argmax(1) == self.data.test_labels).float().mean())
        copies = float((self.distances(drawn[:LOOKED]) < self.near).mean())
        return frechet(features, self.real), inception_score(probabilities), read, copies


def measure(name: str, data: Mnist, judge: Judge, seconds: float, seed: int) -> tuple[float, ...]:
    """Train once and draw: FID, Inception Score, share read as requested, share of copies, training seconds."""
    model, watch = build(name, SHAPE, 10, seed=seed), Stopwatch()
    budget = seconds - FITTING.get(name, 0.0) * min(1.0, seconds / 60)
    options = TrainingOptions(budget=budget, clock="cpu", seed=seed, device="cpu")
    train(model, PictureExamples(data.images, data.labels), options)
    trained = watch.seconds
    return (*judge.weigh(draws(model, data.test_labels, seed=seed)), trained)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    chosen = begin(parser)
    data = mnist(chosen.data)
    judge = Judge(data)
    say(
        f"reader: {judge.accuracy:.2%} of test digits right; FID of 10,000 training pictures: {judge.floor:.2f}"
    )
    say(f"{chosen.seconds:g} CPU-s of training, one thread, {chosen.seeds} seeds")
    say("model            FID (each seed)                    IS    read  copies  trained  FID of vae / this")
    plain: float | None = None
    for name in dict.fromkeys(["vae", *chosen.models]):
        rows = [measure(name, data, judge, chosen.seconds, seed) for seed in range(chosen.seeds)]
        fid, score, read, copies, trained = np.mean(rows, axis=0)
        plain = fid if plain is None else plain
        values = " ".join(f"{row[0]:.2f}" for row in rows)
        cells = f"{score:6.2f} {read:7.1%} {copies:6.1%} {trained:7.1f}s {plain / fid:8.1f}"
        say(f"{name:14} {fid:8.2f} ({values:24}) {cells}")


if __name__ == "__main__":
    main()
