"""Our VAE beside pytorch/examples' and pythae's: test negative ELBO on MNIST at equal CPU seconds.

    python -m benchmarks.mnist_vae [--data DIR] [--seconds 60] [--seeds 1] [--examples vae/main.py]

All have 20 latent variables, a standard normal prior and the Bernoulli likelihood on grey pixels, and
run in this process on one thread. The peers' own code is run unchanged, and stopped when its seconds
are used; their pictures come from memory, which saves them the decoding. None of it is
reimplemented here:

- pytorch/examples: `git clone https://github.com/pytorch/examples`, then `--examples examples/vae/main.py`
  or PYTORCH_EXAMPLES_VAE in the environment. The part of torchvision that it needs is provided.
- pythae: `pip install pythae` (or its folder in PYTHONPATH).

A peer that is not installed is omitted, and the table says so.
"""

import contextlib
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks._mnist import SHAPE, Mnist, Stopwatch, begin, mnist, options, say
from tolerate.models.base import generator
from tolerate.models.pictures.examples import PictureExamples
from tolerate.models.registry import build
from tolerate.models.training.loop import train
from tolerate.models.training.plan import TrainingOptions


class Spent(Exception):
    """Raised when a peer has used its CPU seconds."""


def ours(data: Mnist, seconds: float, seed: int) -> tuple[float, float]:
    """Test negative ELBO and pictures a second of `vae` with its defaults."""
    trained = train(
        build("vae", SHAPE, 10, seed=seed),
        PictureExamples(data.images, data.labels),
        TrainingOptions(budget=seconds, clock="cpu", seed=seed, device="cpu"),
    )
    rng, model = generator(seed), trained.model
    with torch.no_grad():
        bounds = [sum(model.bound(part, part, rng)) for part in data.test_images.split(1000)]
    return float(torch.cat(bounds).mean()), trained.examples / trained.elapsed


class Limited:
    """A data loader that raises when the CPU seconds are used up."""

    def __init__(self, loader: Any, watch: Stopwatch, seconds: float) -> None:
        self.loader, self.watch, self.limit = loader, watch, seconds
        self.dataset, self.pictures = loader.dataset, 0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            if self.watch.seconds > self.limit:
                raise Spent
            self.pictures += len(batch[0])
            yield batch


def examples(path: Path, data: Mnist, seconds: float, seed: int) -> tuple[float, float]:
    """As `ours`, for vae/main.py of pytorch/examples with its own training and loss."""
    with lent_torchvision(data), quiet(), argv("main.py", "--seed", str(seed), "--no-accel"):
        module = ModuleType("pytorch_examples_vae")
        exec(compile(path.read_text("utf-8"), str(path), "exec"), module.__dict__)
        watch = Stopwatch()
        loader = Limited(module.train_loader, watch, seconds)
        module.train_loader = loader
        with contextlib.suppress(Spent):
            for epoch in range(10**6):
                module.train(epoch)
    spent = watch.seconds
    module.model.eval()
    with torch.no_grad():
        parts = [module.loss_function(*_reordered(module.model(x), x)) for x in data.test_images.split(1000)]
    return float(sum(parts)) / len(data.test_images), loader.pictures / spent


def _reordered(answer: tuple[Tensor, Tensor, Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return answer[0], x, answer[1], answer[2]


@contextlib.contextmanager
def lent_torchvision(data: Mnist) -> Iterator[None]:
    """The part of torchvision that the example uses, over pictures in memory."""

    def pictures(root: str, train: bool = True, **_: Any) -> list[tuple[Tensor, int]]:
        images = data.images if train else data.test_images
        labels = data.labels if train else data.test_labels
        return list(zip(images, labels.tolist(), strict=True))

    parts = {name: ModuleType(name) for name in ("torchvision", "torchvision.utils")}
    parts["torchvision"].datasets = type("datasets", (), {"MNIST": staticmethod(pictures)})  # type: ignore[attr-defined]
    parts["torchvision"].transforms = type("transforms", (), {"ToTensor": staticmethod(lambda: None)})  # type: ignore[attr-defined]
    parts["torchvision.utils"].save_image = lambda *_, **__: None  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in parts}
    sys.modules.update(parts)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def argv(*words: str) -> Iterator[None]:
    """Replace the command line."""
    before, sys.argv = sys.argv, list(words)
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress output and logs."""
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
    logging.disable(logging.NOTSET)


def pythae(data: Mnist, seconds: float, seed: int) -> tuple[float, float]:
    """As `ours`, for pythae's VAE with its own networks and trainer, at the rate and batch of the example."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Stop(TrainingCallback):
        steps = 0

        def on_train_step_end(self, training_config: Any, **_: Any) -> None:
            self.steps += 1
            if watch.seconds > seconds:
                raise Spent

    model = VAE(VAEConfig(input_dim=SHAPE, latent_dim=20, reconstruction_loss="bce"))
    with tempfile.TemporaryDirectory() as folder, quiet():
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10**4,
            learning_rate=1e-3,
            per_device_train_batch_size=128,
            seed=seed,
            no_cuda=True,
        )
        stop = Stop()
        trainer = BaseTrainer(
            model, BaseDataset(data.images, data.labels), training_config=config, callbacks=[stop]
        )
        watch = Stopwatch()
        with contextlib.suppress(Spent):
            trainer.train()
    spent = watch.seconds
    test = [BaseDataset(part, torch.zeros(len(part))) for part in data.test_images.split(1000)]
    model.eval()
    with torch.no_grad():
        losses = [float(model({"data": part.data}).loss) for part in test]
    return sum(losses) / len(losses), stop.steps * 128 / spent


def peers(path: Path | None) -> dict[str, Any]:
    """The installed peers, each as a function of data, seconds and seed."""
    methods: dict[str, Any] = {}
    if path is not None and path.is_file():
        methods["pytorch/examples"] = lambda *rest: examples(path, *rest)
    else:
        say(
            "pytorch/examples is absent; get it: git clone https://github.com/pytorch/examples, then --examples"
        )
    try:
        import pythae as _  # noqa: F401

        methods["pythae"] = pythae
    except ImportError:
        say("pythae is absent; get it: pip install pythae")
    return methods


def main() -> None:
    parser = options(__doc__)
    row = os.environ.get("PYTORCH_EXAMPLES_VAE")
    parser.add_argument(
        "--examples", type=Path, default=row and Path(row), help="pytorch/examples' vae/main.py"
    )
    chosen = begin(parser)
    data = mnist(chosen.data)
    contestants = {"tolerate vae": ours, **peers(chosen.examples)}
    say(f"test negative ELBO (nats) after {chosen.seconds:g} CPU-s, one thread, mean of {chosen.seeds} seeds")
    first: float | None = None
    for name, contestant in contestants.items():
        results = [contestant(data, chosen.seconds, seed) for seed in range(chosen.seeds)]
        nats, rate = (sum(column) / len(column) for column in zip(*results, strict=True))
        first = nats if first is None else first
        say(f"{name:18} {nats:8.2f} nats, {rate:6.0f} pictures/CPU-s, ratio to ours {nats / first:.3f}")


if __name__ == "__main__":
    main()
