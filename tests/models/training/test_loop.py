"""The training loop: an interrupted training ends as an unbroken one; failures are diagnosed; files are complete."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.training import train_pictures
from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import DataError, OptionError, RunError
from tolerate.models.base import Losses, Optimizers, Trainable, generator
from tolerate.models.pictures.base import PictureModel, Shape, draws
from tolerate.models.pictures.layers import descend
from tolerate.models.registry import ZOO, build, find
from tolerate.models.storage import load, read_tensors, save
from tolerate.models.training import loop
from tolerate.models.training.diagnostics import discriminator_wins
from tolerate.models.training.ema import WeightAverage
from tolerate.models.training.examples import Examples
from tolerate.models.training.loop import Trained, TrainingProgress, train
from tolerate.models.training.plan import BatchSampler, TrainingOptions

ROOT = Path(__file__).resolve().parents[3]
SHAPE = (1, 4, 4)


def pictures(count: int = 60, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noisy pictures whose brightest row tells the class."""
    rng = generator(seed)
    labels = torch.arange(count) % classes
    images = 0.3 * torch.rand(count, *SHAPE, generator=rng)
    images[torch.arange(count), 0, labels] += 0.6
    return images, labels


class Duel(PictureModel):
    """Two players with an optimiser each, batch norm, dropout from the global randomness."""

    def __init__(self, shape: Shape, classes: int, *, rate: float = 0.01) -> None:
        super().__init__(shape, classes, rate=rate)
        self.rate = rate
        self.drawer = nn.Sequential(
            nn.Linear(4 + classes, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16)
        )
        self.viewer = nn.Sequential(nn.Linear(16 + classes, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1))

    def optimizers(self) -> Optimizers:
        return {
            "drawer": torch.optim.Adam(self.drawer.parameters(), self.rate),
            "viewer": torch.optim.SGD(self.viewer.parameters(), self.rate, momentum=0.9),
        }

    def pictures(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), 4, generator=rng)
        return torch.sigmoid(self.drawer(torch.cat([noise, self.classed(labels)], 1)))

    def classed(self, labels: Tensor) -> Tensor:
        return nn.functional.one_hot(labels, self.classes).float()

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        drawn, y = self.pictures(labels, rng), self.classed(labels)
        real_score = self.viewer(torch.cat([images.flatten(1), y], 1))
        fake_score = self.viewer(torch.cat([drawn.detach(), y], 1))
        d_loss = nn.functional.softplus(-real_score).mean() + nn.functional.softplus(fake_score).mean()
        optimizers["viewer"].zero_grad()
        d_loss.backward()
        optimizers["viewer"].step()
        g_loss = nn.functional.softplus(-self.viewer(torch.cat([drawn, y], 1))).mean()
        optimizers["drawer"].zero_grad()
        g_loss.backward()
        optimizers["drawer"].step()
        right = ((real_score > 0).float().mean() + (fake_score < 0).float().mean()) / 2
        return {"d_loss": d_loss, "g_loss": g_loss, "d_accuracy": right}

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.pictures(labels, rng).view(-1, *self.shape)


class Mean(PictureModel):
    """Learns the mean picture of each class by gradient descent; no randomness at all."""

    def __init__(
        self, shape: Shape, classes: int, *, spoil: int | None = None, constant: bool = False
    ) -> None:
        super().__init__(shape, classes, spoil=spoil, constant=constant)
        self.spoil, self.constant = spoil, constant
        self.means = nn.Parameter(torch.zeros(classes, *shape))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def optimizers(self) -> Optimizers:
        return {"sgd": torch.optim.SGD(self.parameters(), 1.0)}

    def step(
        self, images: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        self.steps += 1
        loss = (self.means[labels] - images).square().mean()
        if self.spoil is not None and int(self.steps) > self.spoil:
            loss = loss / 0
        optimizers["sgd"].zero_grad()
        loss.backward()
        optimizers["sgd"].step()
        return {"loss": loss}

    @torch.no_grad()
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        if self.constant:
            return torch.full((len(labels), *self.shape), 0.5)
        return (self.means[labels] + 0.1 * torch.rand(len(labels), *self.shape, generator=rng)).clamp(0, 1)


class Killed(Exception):
    """Stands for a process that ends without notice."""


def killer(step: int) -> Callable[[TrainingProgress], None]:
    def report(progress: TrainingProgress) -> None:
        if progress.step >= step:
            raise Killed

    return report


def have_equal_weights(a: PictureModel, b: PictureModel) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


def make(name: str) -> PictureModel:
    return build(name if name in ZOO else f"{__name__}:{name}", SHAPE, 3)


@pytest.mark.parametrize("name", ["vae", "latent-flow", "dcgan", "Duel"])
def test_a_killed_training_ends_as_an_unbroken_one_bit_for_bit(name: str, tmp_path: Path) -> None:
    images, labels = pictures()
    options: dict[str, Any] = {"steps": 30, "batch": 16, "ema": 0.9, "seed": 4, "every": 5}
    unbroken = train_pictures(make(name), images, labels, folder=tmp_path / "whole", **options)
    for step in (5, 12, 20):  # killed three times, the second time before a new checkpoint
        with pytest.raises(Killed):
            train_pictures(
                make(name),
                images,
                labels,
                folder=tmp_path / "cut",
                checkpoint_seconds=0,
                on_progress=killer(step),
                **options,
            )
    cut = train_pictures(make(name), images, labels, folder=tmp_path / "cut", **options)
    assert have_equal_weights(unbroken.model, cut.model)
    assert [_timeless(line) for line in unbroken.history] == [_timeless(line) for line in cut.history]
    lines = [json.loads(line) for line in (tmp_path / "cut/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    requests = torch.tensor([0, 1, 2, 2])
    assert draws(load(tmp_path / "cut", PictureModel), requests, seed=1).equal(
        draws(unbroken.model, requests, seed=1)
    )
    other = train_pictures(make(name), images, labels, **{**options, "seed": 5})
    assert not have_equal_weights(unbroken.model, other.model)


def _timeless(line: Any) -> dict[str, float]:
    return {name: value for name, value in line.items() if name != "elapsed"}


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    images, labels = pictures()
    first = train_pictures(make("Duel"), images, labels, steps=10, folder=tmp_path)
    reports: list[TrainingProgress] = []
    again = train_pictures(
        make("Duel"), images, labels, steps=10, folder=tmp_path, on_progress=reports.append
    )
    assert have_equal_weights(first.model, again.model)
    assert reports == []
    assert again.findings == first.findings


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 11}, {"batch": 8}, {"ema": 0.5}])
def test_a_checkpoint_of_another_training_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    images, labels = pictures()
    options: dict[str, Any] = {"steps": 10, "batch": 16, "ema": 0.9, "seed": 0}
    train_pictures(make("Mean"), images, labels, folder=tmp_path, **options)
    with pytest.raises(RunError, match="belongs to a training with plan"):
        train_pictures(make("Mean"), images, labels, folder=tmp_path, **{**options, **change})
    with pytest.raises(RunError, match="with data"):
        train_pictures(make("Mean"), images * 0.9, labels, folder=tmp_path, **options)
    with pytest.raises(RunError, match="with options"):
        train_pictures(Mean(SHAPE, 3, spoil=99), images, labels, folder=tmp_path, **options)


def test_a_damaged_checkpoint_is_said_to_be_damaged(tmp_path: Path) -> None:
    images, labels = pictures()
    train_pictures(make("Mean"), images, labels, steps=5, folder=tmp_path)
    checkpoint = tmp_path / "checkpoints/last.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:50])
    with pytest.raises(RunError, match="delete it to train from the beginning"):
        train_pictures(make("Mean"), images, labels, steps=5, folder=tmp_path)


def test_what_a_checkpoint_holds(tmp_path: Path) -> None:
    images, labels = pictures()
    train_pictures(make("Duel"), images, labels, steps=6, folder=tmp_path, ema=0.9)
    tensors, metadata = read_tensors(tmp_path / "checkpoints/last.safetensors")
    kinds = {name.split("/")[0] for name in tensors}
    assert kinds == {"model", "ema", "optimizer"}
    assert float(tensors["optimizer/drawer/0/step"]) == 6
    notes = json.loads(metadata["notes"])
    assert (notes["step"], notes["about"]["plan"]["seed"]) == (6, 0)
    assert not list(tmp_path.rglob("*.pt")) + list(tmp_path.rglob("*.pkl"))


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = pictures()
    options: dict[str, Any] = {
        "steps": 20,
        "batch": 16,
        "every": 5,
        "folder": tmp_path,
        "checkpoint_seconds": 0,
    }
    with pytest.raises(Killed):
        train_pictures(make("Duel"), images, labels, on_progress=killer(10), **options)
    before = (tmp_path / "checkpoints/last.safetensors").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tolerate.base.files.os.fsync", full)
        with pytest.raises(RunError, match="No space left on device"):
            train_pictures(make("Duel"), images, labels, **options)
    assert (tmp_path / "checkpoints/last.safetensors").read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))
    assert train_pictures(make("Duel"), images, labels, **options).steps == 20


class FakeTime:
    """A clock that moves by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now

    process_time = monotonic


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_a_budget_ends_a_training_and_survives_a_restart(
    clock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "time", FakeTime())
    images, labels = pictures()
    options: dict[str, Any] = {
        "budget": 300.0,
        "clock": clock,
        "batch": 8,
        "every": 4,
        "checkpoint_seconds": 0,
        "folder": tmp_path,
    }
    with pytest.raises(Killed):
        train_pictures(make("Mean"), images, labels, on_progress=killer(40), **options)
    notes = json.loads(read_tensors(tmp_path / "checkpoints/last.safetensors")[1]["notes"])
    reports: list[TrainingProgress] = []
    ended = train_pictures(make("Mean"), images, labels, on_progress=reports.append, **options)
    assert notes["elapsed"] > 60
    assert reports[0].elapsed > notes["elapsed"]
    assert ended.elapsed >= 300
    assert ended.elapsed - ended.history[-2]["elapsed"] < 60
    assert ended.steps < 300


def test_progress_has_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "time", FakeTime())
    reports: list[TrainingProgress] = []
    images, labels = pictures()
    train_pictures(make("Mean"), images, labels, steps=20, batch=8, every=5, on_progress=reports.append)
    assert [progress.share for progress in reports] == [0.25, 0.5, 0.75, 1.0]
    for progress in reports[:3]:
        assert progress.remaining == pytest.approx(progress.elapsed * (1 / progress.share - 1))
        assert progress.rate == pytest.approx(8 * progress.step / progress.elapsed)
    assert reports[-1].remaining == 0
    assert "pictures/s" in str(reports[0])


def test_the_average_of_weights_is_the_formula() -> None:
    model = Mean(SHAPE, 3)
    average, expected = WeightAverage(model, 0.9), 0.0
    for step, value in enumerate([1.0, 5.0, -2.0, 7.0]):
        with torch.no_grad():
            model.means.fill_(value)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.apply(model)
    assert model.means.detach().numpy() == pytest.approx(expected, rel=1e-6)


def test_a_model_draws_from_averaged_weights(tmp_path: Path) -> None:
    images, labels = pictures()
    averaged = train_pictures(Mean(SHAPE, 3), images, labels, steps=9, batch=16, ema=0.9)
    plain = train_pictures(Mean(SHAPE, 3), images, labels, steps=9, batch=16, ema=0)
    assert (
        averaged.model.means.abs().sum() < plain.model.means.abs().sum()
    )  # it lags behind, on the way from 0


def test_every_picture_is_seen_once_a_pass() -> None:
    sampler = BatchSampler(examples=10, batch=4, seed=3)
    indices = torch.cat([sampler.indices(step) for step in range(5)])
    assert sorted(indices[:10].tolist()) == sorted(indices[10:].tolist()) == list(range(10))
    assert indices[:10].tolist() != indices[10:].tolist()
    assert BatchSampler(10, 4, 3).indices(4).equal(sampler.indices(4))
    assert sorted(BatchSampler(3, 8, 0).indices(0)[:6].tolist()) == [0, 0, 1, 1, 2, 2]


def test_losses_that_are_no_numbers_end_the_training_with_the_last_good_weights(tmp_path: Path) -> None:
    images, labels = pictures()
    trained = train_pictures(
        Mean(SHAPE, 3, spoil=12), images, labels, steps=100, batch=16, every=5, folder=tmp_path
    )
    good = train_pictures(Mean(SHAPE, 3), images, labels, steps=10, batch=16, every=5)
    finding = trained.findings[0]
    assert (finding.kind, finding.step, trained.steps) == ("not-finite", 15, 15)
    assert "learning rate" in finding.advice
    assert trained.model.means.isfinite().all()
    assert trained.model.means.equal(good.model.means)
    again = train_pictures(
        Mean(SHAPE, 3, spoil=12), images, labels, steps=100, batch=16, every=5, folder=tmp_path
    )
    assert again.findings == trained.findings
    assert again.steps == 15


def kinds(trained: Trained) -> set[str]:
    return {finding.kind for finding in trained.findings}


def test_a_generator_that_always_draws_the_same_is_noticed() -> None:
    images, labels = pictures(90)
    assert kinds(train_pictures(Mean(SHAPE, 3, constant=True), images, labels, steps=3)) == {
        "collapse",
        "ignores-class",
    }
    assert kinds(train_pictures(Mean(SHAPE, 3), images, labels, steps=300)) == set()


def test_a_discriminator_that_wins_is_noticed() -> None:
    images, labels = pictures(120)

    class Unfair(Duel):
        def optimizers(self) -> Optimizers:
            slow = torch.optim.SGD(self.drawer.parameters(), 0.0)
            return {"drawer": slow, "viewer": torch.optim.Adam(self.viewer.parameters(), 0.01)}

    lost = train_pictures(Unfair(SHAPE, 3), images, labels, steps=200, batch=32)
    assert "discriminator-wins" in kinds(lost)
    assert "discriminator-wins" not in kinds(
        train_pictures(Duel(SHAPE, 3), images, labels, steps=200, batch=32)
    )


def test_a_strong_discriminator_that_its_opponent_gains_on_has_not_won() -> None:
    gains = [{"step": n, "d_accuracy": 1.0, "g_loss": 5.0 - n / 10} for n in range(20)]
    assert discriminator_wins(gains) == []
    assert discriminator_wins(gains[:3]) == []


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Gradients are averaged: with no randomness, two halves of a batch end where the whole one does."""
    script = tmp_path / "two.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import torch\n"
        "from pathlib import Path\n"
        "import accelerate\n"
        "from safetensors.torch import save_file\n"
        "from tests.models.training.test_loop import Duel, Mean, pictures, SHAPE\n"
        "from tolerate.models.base import torch_seed\n"
        "from tests.support.training import train_pictures\n"
        "def work():\n"
        f"    folder, rank = Path({str(tmp_path)!r}), torch.distributed.get_rank()\n"
        "    images, labels = pictures()\n"
        "    options = {'steps': 12, 'batch': 16, 'device': 'cpu'}\n"
        "    mean = train_pictures(Mean(SHAPE, 3), images, labels, folder=folder / 'mean', **options)\n"
        "    with torch_seed(int(rank)): duel = Duel(SHAPE, 3)\n"
        "    duel = train_pictures(duel, images, labels, ema=0.9, **options)\n"
        "    for name, trained in (('mean', mean), ('duel', duel)):\n"
        "        save_file(trained.model.state_dict(), folder / f'{name}{rank}.safetensors')\n"
        "accelerate.debug_launcher(work, num_processes=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    images, labels = pictures()
    single = train_pictures(Mean(SHAPE, 3), images, labels, steps=12, batch=16).model.state_dict()
    for name in ("mean", "duel"):
        first, second = (read_tensors(tmp_path / f"{name}{rank}.safetensors")[0] for rank in (0, 1))
        assert first.keys() == second.keys()
        assert all(first[key].equal(second[key]) for key in first)
        if name == "mean":
            torch.testing.assert_close(first["means"], single["means"], rtol=1e-5, atol=1e-6)
    assert len((tmp_path / "mean/metrics.jsonl").read_text().splitlines()) == 12


def test_tensorboard_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = pictures()
    pytest.importorskip("tensorboard")
    train_pictures(make("Mean"), images, labels, steps=5, folder=tmp_path, board=True)
    assert list((tmp_path / "board").glob("events.out.tfevents*"))
    with pytest.raises(OptionError, match="needs a folder"):
        train_pictures(make("Mean"), images, labels, steps=5, board=True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(OptionError, match=r"tolerate\[board\]"):
        train_pictures(make("Mean"), images, labels, steps=5, folder=tmp_path / "other", board=True)


def test_bfloat16_on_request() -> None:
    images, labels = pictures()
    trained = train_pictures(make("vae"), images, labels, steps=3, batch=8, bf16=True)
    assert all(
        weight.dtype == torch.float32 and weight.isfinite().all() for weight in trained.model.parameters()
    )


def test_bytes_train_as_floats_do() -> None:
    images, labels = pictures()
    raw = (images * 255).round().to(torch.uint8)
    a = train_pictures(make("vae"), raw, labels, steps=4, batch=8)
    b = train_pictures(make("vae"), (raw.float() / 255).numpy(), labels.numpy(), steps=4, batch=8)
    assert have_equal_weights(a.model, b.model)


def test_global_randomness_and_threads_are_left_alone() -> None:
    images, labels = pictures()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    train_pictures(make("Duel"), images, labels, steps=3, threads=2)
    assert torch.rand(3).equal(expected)
    assert torch.get_num_threads() == threads


def test_a_model_of_ones_own_is_saved_and_loaded(tmp_path: Path) -> None:
    images, labels = pictures()
    trained = train_pictures(
        build(f"{__name__}:Duel", SHAPE, 3, rate=0.02), images, labels, steps=5, folder=tmp_path
    )
    loaded = load(tmp_path, PictureModel)
    assert have_equal_weights(loaded, trained.model)
    assert loaded.options == {"rate": 0.02}
    assert not loaded.training
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["model"] == f"{__name__}:Duel"


def test_bad_pictures_are_refused() -> None:
    images, labels = pictures()
    spoiled = images.clone()
    spoiled[3, 0, 0, 0] = float("nan")
    cases = [
        (images[:, :, :3], labels, "built for"),
        (images[:5], labels, "labels"),
        (images[:0], labels[:0], "got pictures"),
        (images * 255, labels, r"not in \[0, 1\]"),
        (spoiled, labels, r"not in \[0, 1\]"),
        (images, labels + 1, "labels go from 1 to 3"),
        (images, labels - 1, "labels go from -1"),
    ]
    for bad, classes, message in cases:
        with pytest.raises(DataError, match=message):
            train_pictures(make("Mean"), bad, classes, steps=1)


def test_bad_options_are_refused(tmp_path: Path) -> None:
    images, labels = pictures()
    for options in (
        {"steps": 0},
        {"budget": -1.0},
        {"batch": 0},
        {"ema": 1.0},
        {"clock": "sun"},
        {"device": "moon"},
    ):
        with pytest.raises(OptionError):
            train_pictures(make("Mean"), images, labels, **options)
    with pytest.raises(OptionError, match='Did you mean "vae"'):
        build("vea", SHAPE, 3)
    for name in ZOO:
        with pytest.raises(OptionError, match=f"{name} cannot be built with depth=3"):
            build(name, SHAPE, 3, depth=3)
    with pytest.raises(OptionError, match="subclass"):
        find("torch.nn:Linear")
    with pytest.raises(OptionError, match="means nothing"):
        build("vae", (1, 0, 4), 3)
    with pytest.raises(RunError, match="a folder that a training wrote"):
        load(tmp_path, PictureModel)


def test_the_zoo_is_listed_without_torch() -> None:
    code = "import sys, tolerate.models.registry; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_numpy_arrays_that_must_not_be_written_to_are_copied() -> None:
    images, labels = (np.asarray(tensor) for tensor in pictures())
    images.setflags(write=False)
    assert train_pictures(make("Mean"), images, labels, steps=2).steps == 2


class Line(Trainable):
    """Fits a number to numbers: a model of a modality that the loop does not know."""

    def __init__(self, start: float, **options: object) -> None:
        super().__init__(**options)
        self.first = start
        self.value = nn.Parameter(torch.tensor(start))

    def dimensions(self) -> dict[str, JsonValue]:
        return {"start": self.first}

    @classmethod
    def stored_dimensions(cls, record: JsonObject) -> tuple[object, ...]:
        return (record["start"],)

    def optimizers(self) -> Optimizers:
        return {"sgd": torch.optim.SGD(self.parameters(), 0.1)}

    def step(
        self, inputs: Tensor, targets: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        loss = (self.value * inputs - targets).square().mean()
        descend(loss, optimizers["sgd"])
        return {"loss": loss}


class Numbers(Examples):
    noun = "numbers"

    def check(self, model: Trainable) -> None:
        if self.inputs.ndim != 1:
            raise DataError("expected one number each")

    def model_inputs(self, inputs: Tensor) -> Tensor:
        return inputs.float()


def test_a_modality_of_ones_own_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    inputs = torch.linspace(0, 1, 40)
    reports: list[TrainingProgress] = []
    trained = train(
        Line(1.0), Numbers(inputs, 3 * torch.ones(40)), TrainingOptions(steps=50), tmp_path, reports.append
    )
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert "numbers/s" in str(reports[0])
    loaded = load(tmp_path, Line)
    assert loaded.first == 1.0 and loaded.value.equal(trained.model.value)
    with pytest.raises(DataError, match="one number each"):
        train(Line(1.0), Numbers(torch.zeros(2, 2), torch.zeros(2)))
    with pytest.raises(DataError, match="holds a Line, expected a PictureModel"):
        load(tmp_path, PictureModel)
    with pytest.raises(DataError, match="a Line cannot learn from pictures"):
        train_pictures(Line(1.0), *pictures())


def test_models_are_stored_by_their_short_names_and_found_by_older_paths(tmp_path: Path) -> None:
    model = build("cvae", SHAPE, 3, latent=4)
    save(model, tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["model"] == "cvae"
    for path in ("tolerate.models.cvae:CVAE", "tolerate.models.pictures.cvae:CVAE"):
        (tmp_path / "model.json").write_text(json.dumps({**record, "model": path}))
        assert have_equal_weights(load(tmp_path, PictureModel), model)
    del record["classes"]
    (tmp_path / "model.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="lacks 'classes'"):
        load(tmp_path, PictureModel)
