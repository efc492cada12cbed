"""Reader, judge and feature network on real digits: accuracy, refusal of nonsense, bytes, files, seeds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tolerate.checks.pictures.own_error import count_misread, own_error_of
from tolerate.data.pictures import LabelledPictures, digits, split
from tolerate.errors import DataError, RunError
from tolerate.models.pictures.evaluation.anomaly import anomaly_auroc
from tolerate.models.pictures.evaluation.classifier import (
    ClassifierOptions,
    PictureClassifier,
    to_float_tensor,
    train_classifier,
)
from tolerate.models.pictures.evaluation.features import NetworkFeatures, fit_features
from tolerate.models.pictures.evaluation.judge import NetworkJudge, fit_judge
from tolerate.models.pictures.evaluation.metrics import auroc
from tolerate.models.pictures.evaluation.nonsense import NONSENSE
from tolerate.models.pictures.evaluation.reader import PictureReader, fit_reader

SHORT = ClassifierOptions(width=4, steps=30)


@pytest.fixture(scope="module")
def pictures() -> LabelledPictures:
    return digits()


@pytest.fixture(scope="module")
def rest(pictures: LabelledPictures) -> LabelledPictures:
    """The digits that did not teach the reader; enough to measure it better than one part alone."""
    reader = split(pictures)["reader"]
    return pictures.part(np.setdiff1d(np.arange(len(pictures)), reader))


@pytest.fixture(scope="module")
def reader(pictures: LabelledPictures) -> PictureReader:
    real = pictures.part(split(pictures)["reader"])
    return fit_reader(real.images, real.labels, real.classes, seed=0)


@pytest.fixture(scope="module")
def judge(pictures: LabelledPictures) -> NetworkJudge:
    real = pictures.part(split(pictures)["judge"])
    return fit_judge(real.images, real.labels, real.classes, seed=0)


@pytest.fixture(scope="module")
def features(pictures: LabelledPictures) -> NetworkFeatures:
    real = pictures.part(split(pictures)["features"])
    return fit_features(real.images, real.labels, real.classes, seed=0)


def nonsense(pictures: LabelledPictures, kind: str) -> np.ndarray:
    rng = torch.Generator().manual_seed(3)
    images: np.ndarray = NONSENSE[kind](
        to_float_tensor(pictures.images), torch.as_tensor(pictures.labels), rng
    ).numpy()
    return images


def test_the_reader_reads_real_digits(reader: PictureReader, rest: LabelledPictures) -> None:
    error = count_misread(reader.read(rest.images).labels, rest.labels, rest.classes)
    assert (error.refused - error.unrecognised) / error.tested < 0.01
    assert error.rate < 0.025
    verdicts = reader(rest.images, rest.labels)
    assert own_error_of(verdicts, rest.classes) == error


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("shuffled", 0.97),
        ("noise", 0.99),
        ("faint", 0.99),
        ("clouds", 0.95),
        ("halved", 0.8),
        ("quartered", 0.7),
        ("overlaid", 0.4),
        ("mixed", 0.3),
        ("spliced", 0.3),
    ],
)
def test_the_reader_refuses_nonsense(
    reader: PictureReader, rest: LabelledPictures, kind: str, least: float
) -> None:
    """What is no digit is read as none; two digits in one picture often still look like one of them."""
    reading = reader.read(nonsense(rest, kind))
    assert (reading.labels == len(rest.classes)).mean() > least
    assert set(np.unique(reading.names())) <= {*rest.classes, "none"}


def test_asking_for_another_digit_is_wrong(reader: PictureReader, rest: LabelledPictures) -> None:
    verdicts = reader(rest.images, (rest.labels + 3) % 10)
    assert verdicts.losses.mean() > 0.99
    assert verdicts.reads[0] in {*rest.classes, "none"}


def test_bytes_read_as_floats_do(reader: PictureReader, rest: LabelledPictures) -> None:
    as_bytes = np.round(rest.images * 255).astype(np.uint8)
    assert np.array_equal(reader.read(as_bytes).labels, reader.read(as_bytes / 255).labels)
    one_by_one = np.concatenate([reader.read(rest.images[i : i + 1]).labels for i in range(20)])
    assert np.array_equal(one_by_one, reader.read(rest.images[:20]).labels)


def test_the_judge_ranks_what_the_reader_will_say(
    judge: NetworkJudge, reader: PictureReader, rest: LabelledPictures
) -> None:
    """Real digits, digits asked to be others, and nonsense: the score foretells the reader's verdict."""
    images = np.concatenate([rest.images, *(nonsense(rest, kind)[:150] for kind in NONSENSE)])
    requests = np.concatenate([rest.labels, np.tile(rest.labels[:150], len(NONSENSE))])
    scores, losses = judge(images, requests), reader(images, requests).losses
    assert scores.min() >= 0 and scores.max() <= 1
    assert auroc(scores[losses == 1], scores[losses == 0]) > 0.95


def test_the_same_seed_teaches_the_same(pictures: LabelledPictures) -> None:
    real = pictures.part(split(pictures)["judge"])
    state = torch.random.get_rng_state()
    first, same, other = (
        fit_reader(real.images, real.labels, real.classes, seed=seed, options=SHORT) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(first.read(real.images).certainty, same.read(real.images).certainty)
    assert not np.array_equal(first.read(real.images).certainty, other.read(real.images).certainty)


def test_what_is_saved_reads_alike(
    reader: PictureReader,
    judge: NetworkJudge,
    features: NetworkFeatures,
    rest: LabelledPictures,
    tmp_path: Path,
) -> None:
    reader.save(tmp_path / "reader.safetensors")
    judge.save(tmp_path / "judge.safetensors")
    features.save(tmp_path / "features.safetensors")
    again = PictureReader.load(tmp_path / "reader.safetensors")
    assert (again.classes, again.shape, again.floor) == (reader.classes, reader.shape, reader.floor)
    assert np.array_equal(again.read(rest.images).certainty, reader.read(rest.images).certainty)
    scored = NetworkJudge.load(tmp_path / "judge.safetensors")(rest.images, rest.labels)
    assert np.array_equal(scored, judge(rest.images, rest.labels))
    loaded_features = NetworkFeatures.load(tmp_path / "features.safetensors")(rest.images)
    assert np.array_equal(loaded_features, features(rest.images))
    with pytest.raises(RunError, match="cannot read"):
        PictureReader.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 7, 9), (2, 48, 40), (1, 4, 4)])
def test_any_shape_can_be_taught(shape: tuple[int, int, int]) -> None:
    """Two classes that differ in brightness, in any size and number of channels."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = np.clip(0.2 + 0.5 * labels[:, None, None, None] + 0.1 * rng.random((40, *shape)), 0, 1)
    network = train_classifier(
        images, labels, 2, ClassifierOptions(width=4, steps=60, nonsense=False), seed=0
    )
    logits = network(to_float_tensor(images))
    assert (logits.argmax(dim=1).numpy() == labels).mean() > 0.9
    assert network.features(to_float_tensor(images)).shape == (40, network.width)


def test_pictures_that_do_not_fit(reader: PictureReader) -> None:
    with pytest.raises(DataError, match=r"pictures are \(1, 28, 28\), expected .* \(1, 8, 8\)"):
        reader.read(np.zeros((2, 1, 28, 28)))
    with pytest.raises(DataError, match="cannot learn from 5 pictures"):
        fit_reader(np.zeros((5, 1, 8, 8)), np.zeros(5, np.int64), ["a", "b"])
    with pytest.raises(DataError, match=r"expected \[n, channels, height, width\]"):
        train_classifier(np.zeros((5, 8, 8)), np.zeros(5, np.int64), 2, SHORT, seed=0)
    assert len(reader.read(np.zeros((0, 1, 8, 8))).labels) == 0


def test_nonsense_is_made_of_other_classes() -> None:
    """Each kind keeps shape and range; overlays always join two classes."""
    images = torch.eye(10)[torch.arange(40) % 10].view(40, 1, 2, 5)  # class = the lit pixel
    labels = torch.arange(40) % 10
    for name, kind in NONSENSE.items():
        mixed = kind(images, labels, torch.Generator().manual_seed(1))
        assert mixed.shape == images.shape and mixed.min() >= 0 and mixed.max() <= 1, name
    both = NONSENSE["overlaid"](images, labels, torch.Generator().manual_seed(1))
    assert (both.flatten(1).sum(dim=1) == 2).all()
    moved = NONSENSE["shuffled"](images, labels, torch.Generator().manual_seed(1))
    assert torch.equal(moved.flatten(1).sort().values, images.flatten(1).sort().values)


def test_features_tell_digits_apart(features: NetworkFeatures, rest: LabelledPictures) -> None:
    assert (features.probabilities(rest.images).argmax(axis=1) == rest.labels).mean() > 0.9
    assert features(rest.images).shape == (len(rest), 32)


class PrincipalParts:
    """Draws pictures again from their eight coarsest principal parts, as a linear autoencoder does."""

    def __init__(self, images: np.ndarray) -> None:
        flat = torch.as_tensor(images).flatten(1)
        self.mean = flat.mean(0)
        self.parts = torch.linalg.svd(flat - self.mean, full_matrices=False)[2][:8]

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        code = (images.flatten(1) - self.mean) @ self.parts.T
        return (self.mean + code @ self.parts).view_as(images)


def test_what_cannot_be_drawn_again_is_strange(pictures: LabelledPictures, rest: LabelledPictures) -> None:
    model = PrincipalParts(pictures.part(split(pictures)["reader"]).images)
    assert anomaly_auroc(model, rest.images, nonsense(rest, "shuffled")) > 0.97
    assert abs(anomaly_auroc(model, rest.images[::2], rest.images[1::2]) - 0.5) < 0.05


def test_networks_have_the_size_they_say() -> None:
    network = PictureClassifier((1, 28, 28), 11, width=16)
    assert network.width == 32 * 7 * 7 == network.features(torch.zeros(1, 1, 28, 28)).shape[1]
