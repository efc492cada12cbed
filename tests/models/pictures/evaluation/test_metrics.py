"""Metrics of sets of pictures: equal to torchmetrics', to slow versions from the papers, and to known values."""

import warnings

import numpy as np
import pytest
import torch

from tolerate.errors import DataError
from tolerate.models.pictures.evaluation import metrics

PIXELS = (3, 6, 6)


def sets(n: int = 60, m: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (n, *PIXELS))
    drawn = np.clip(rng.integers(0, 256, (m, *PIXELS)) * 0.8 + 30, 0, 255)
    return real.astype(np.uint8), drawn.astype(np.uint8)


class Narrow(torch.nn.Module):
    """Twelve numbers a picture."""

    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        weights = torch.linspace(-1, 1, 12 * 108).view(108, 12).sin()
        return torch.tanh(images.flatten(1) @ weights)


class AnyInput(torch.nn.Module):
    """Takes bytes or floats, as torchmetrics passes them."""

    num_features = 12

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        return self.module(scaled)


def peers() -> tuple[object, np.ndarray, np.ndarray, torch.Tensor, torch.Tensor]:
    real, drawn = (torch.as_tensor(images) for images in sets())
    module = AnyInput(Narrow())
    return module, module(real).double().numpy(), module(drawn).double().numpy(), real, drawn


def test_fid_is_torchmetrics() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.image.fid import FrechetInceptionDistance

        module, real_rows, drawn_rows, real, drawn = peers()
        peer = FrechetInceptionDistance(feature=module, input_img_size=PIXELS).set_dtype(torch.float64)
        peer.update(real, real=True)
        peer.update(drawn, real=False)
        expected = float(peer.compute())
    assert metrics.frechet(real_rows, drawn_rows) == pytest.approx(expected, rel=1e-6)


def test_kid_is_torchmetrics() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.image.kid import KernelInceptionDistance

        module, real_rows, drawn_rows, real, drawn = peers()
        peer = KernelInceptionDistance(feature=module, subsets=1, subset_size=60)
        peer.update(real, real=True)
        peer.update(drawn[:60], real=False)
        expected = float(peer.compute()[0])
    assert metrics.kernel_distance(real_rows, drawn_rows[:60]) == pytest.approx(expected, rel=1e-4)


def test_inception_score_is_torchmetrics() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.image.inception import InceptionScore

        module, real_rows, _, real, _ = peers()
        peer = InceptionScore(feature=module, splits=1)
        peer.update(real)
        expected = float(peer.compute()[0])
    probabilities = torch.as_tensor(real_rows).softmax(dim=1).numpy()
    assert metrics.inception_score(probabilities) == pytest.approx(expected, rel=1e-5)


def test_frechet_of_known_normals() -> None:
    """Two clouds whose means and covariances are known exactly: |m|^2 + sum (s - t)^2 on the axes."""
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(3 / 4)  # variances 1 with n - 1
    first, second = corners * [2, 3], corners * [5, 1] + [3, 4]
    assert metrics.frechet(first, second) == pytest.approx(25 + 9 + 4)
    assert metrics.frechet(first, first) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_by_hand() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(5, 3)), rng.normal(size=(7, 3)) + 1

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within_first = np.mean([kernel(a, b) for i, a in enumerate(first) for j, b in enumerate(first) if i != j])
    within_second = np.mean(
        [kernel(a, b) for i, a in enumerate(second) for j, b in enumerate(second) if i != j]
    )
    across = np.mean([kernel(a, b) for a in first for b in second])
    assert metrics.kernel_distance(first, second) == pytest.approx(within_first + within_second - 2 * across)


def slow_manifold(real: np.ndarray, drawn: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """Word for word from the papers, one point at a time."""

    def radius(points: np.ndarray, index: int) -> float:
        return float(sorted(np.linalg.norm(points - points[index], axis=1))[k])

    inside = [[np.linalg.norm(x - y) <= radius(real, i) for i, y in enumerate(real)] for x in drawn]
    covered = [[np.linalg.norm(y - x) <= radius(drawn, j) for j, x in enumerate(drawn)] for y in real]
    precision = np.mean([any(row) for row in inside])
    density = np.mean([sum(row) / k for row in inside])
    coverage = np.mean([any(row[i] for row in inside) for i in range(len(real))])
    return float(precision), float(np.mean([any(row) for row in covered])), float(density), float(coverage)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_manifold_is_the_papers(k: int) -> None:
    rng = np.random.default_rng(k)
    real, drawn = rng.normal(size=(30, 4)), rng.normal(size=(25, 4)) * 0.7 + 0.4
    measured = metrics.manifold(real, drawn, neighbours=k)
    assert tuple(measured) == pytest.approx(slow_manifold(real, drawn, k))


def test_precision_and_recall_of_known_sets() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 3))
    same = metrics.manifold(real, rng.normal(size=(400, 3)))
    narrow = metrics.manifold(real, rng.normal(size=(400, 3)) * 0.2)
    away = metrics.manifold(real, rng.normal(size=(400, 3)) + 20)
    assert min(same.precision, same.recall, same.coverage) > 0.9 and abs(same.density - 1) < 0.15
    assert narrow.precision > 0.99 and narrow.recall < 0.3 and narrow.coverage < 0.5
    assert tuple(away) == (0, 0, 0, 0)


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(4)
    low, high = rng.integers(0, 9, 40) / 8, rng.integers(2, 12, 30) / 8
    pairs = np.mean([(b > a) + 0.5 * (b == a) for a in low for b in high])
    assert metrics.auroc(low, high) == pytest.approx(pairs)
    assert np.isnan(metrics.auroc(low, np.array([])))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    real, drawn = rng.normal(size=(50, 4)), rng.normal(size=(70, 4))
    in_one_block = [
        metrics.kernel_distance(real, drawn),
        *metrics.manifold(real, drawn),
        *metrics.nearest(real, drawn)[1],
    ]
    monkeypatch.setattr(metrics, "BLOCK", 300)
    in_blocks = [
        metrics.kernel_distance(real, drawn),
        *metrics.manifold(real, drawn),
        *metrics.nearest(real, drawn)[1],
    ]
    assert in_blocks == pytest.approx(in_one_block)


def test_copies_are_found_and_others_are_not() -> None:
    """Planted copies with a little noise are named with the right original; fresh draws are rarely named."""
    rng = np.random.default_rng(6)
    trained, further, fresh = (rng.random((count, 1, 5, 5)) for count in (300, 200, 1000))
    copies = metrics.fit_copy_detector(
        (metrics.flatten_pixels(trained), trained), (metrics.flatten_pixels(further), further)
    )
    planted = np.clip(trained[:7] + rng.normal(0, 0.01, (7, 1, 5, 5)), 0, 1)
    images = np.concatenate([fresh, planted])
    pairs = copies.near_copies(metrics.flatten_pixels(images), images, limit=40)
    by_drawn = dict(zip(pairs.drawn.tolist(), pairs.real.tolist(), strict=True))
    assert all(by_drawn[1000 + index] == index for index in range(7))
    assert (pairs.drawn < 1000).sum() <= 30
    assert pairs.share == pytest.approx(len(pairs.drawn) / 1007)
    assert (np.diff(pairs.distances) >= 0).all() and pairs.distances.max() <= 1
    margins = copies.margins(metrics.flatten_pixels(images), images)
    assert (margins[1000:] <= 0).all() and (margins <= 0).sum() == len(pairs.drawn)
    assert len(copies.near_copies(metrics.flatten_pixels(images), images, limit=3).drawn) == 3


def test_sets_that_cannot_be_compared() -> None:
    for measure in (metrics.frechet, metrics.kernel_distance, metrics.manifold):
        with pytest.raises(DataError, match="expected two sets of one width"):
            measure(np.zeros((10, 3)), np.zeros((10, 4)))
        with pytest.raises(DataError, match="of at least"):
            measure(np.zeros((1, 3)), np.zeros((10, 3)))
