"""How close a set of drawings is to a set of real pictures: the field's metrics, in NumPy.

Each is a function of features [n, width] of real and of drawn pictures (or of class probabilities), a
few lines under its formula. The tests hold FID, KID and the Inception Score equal to torchmetrics',
whose import alone takes five seconds; here a run needs none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.errors import DataError

BLOCK = 1 << 24  # distances held at a time


def frechet(real: Floats, drawn: Floats) -> float:
    """Frechet distance (FID) between two sets, each taken as a normal cloud; 0 is best.

    |m - m'|^2 + trace(C + C' - 2 (C C')^(1/2)). Heusel et al. (2017), arXiv:1706.08500. It grows as
    the sets shrink (by about width / n), so compare only figures of equal numbers of pictures.
    """
    _check_sets(real, drawn)
    real_covariance, drawn_covariance = np.cov(real, rowvar=False), np.cov(drawn, rowvar=False)
    shift = real.mean(axis=0) - drawn.mean(axis=0)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(real_covariance @ drawn_covariance).real, 0)).sum()
    return float(shift @ shift + np.trace(real_covariance) + np.trace(drawn_covariance) - 2 * roots)


def kernel_distance(real: Floats, drawn: Floats) -> float:
    """Kernel distance (KID): squared maximum mean discrepancy, kernel (x.y / width + 1)^3; 0 is best.

    The unbiased estimate over all pairs. Binkowski et al. (2018), arXiv:1801.01401, average it over
    random subsets, which has the same mean and more noise.
    """
    _check_sets(real, drawn)
    n, m = len(real), len(drawn)
    within = (_kernel_sum(real, real) - _kernel_diagonal(real)) / (n * (n - 1))
    between = (_kernel_sum(drawn, drawn) - _kernel_diagonal(drawn)) / (m * (m - 1))
    return within + between - 2 * _kernel_sum(real, drawn) / (n * m)


def _kernel_sum(points: Floats, others: Floats) -> float:
    width = points.shape[1]
    return float(sum(((part @ others.T / width + 1) ** 3).sum() for part in _blocks(points, len(others))))


def _kernel_diagonal(points: Floats) -> float:
    return float((((points**2).mean(axis=1) + 1) ** 3).sum())


def inception_score(probabilities: Floats) -> float:
    """Inception Score: exp of the mean divergence of p(class | picture) from p(class); 1 to classes.

    Salimans et al. (2016), arXiv:1606.03498. High if each picture is clearly one class and all classes
    occur; it never sees a real picture.

    >>> inception_score(np.eye(4))
    4.0
    """
    p = np.clip(probabilities, 1e-16, 1)
    marginal = p.mean(axis=0)
    divergence = (p * (np.log(p) - np.log(marginal))).sum(axis=1).mean()
    return float(np.exp(divergence).round(12))


class Manifold(NamedTuple):
    """Precision and recall, density and coverage of drawings; all but density in [0, 1]."""

    precision: float  # share of drawings that lie among the real ones
    recall: float  # share of real ones that lie among the drawings
    density: float  # real neighbourhoods that a drawing lies in, of those it might: 1 as for real ones
    coverage: float  # share of real ones with a drawing in their neighbourhood


def manifold(real: Floats, drawn: Floats, neighbours: int = 5) -> Manifold:
    """Do drawings look real (precision, density), and are all kinds of real ones drawn (recall, coverage)?

    Every picture stands for the ball about it that reaches its k-th nearest neighbour of its own set.
    Kynkaanniemi et al. (2019), arXiv:1904.06991; Naeem et al. (2020), arXiv:2002.09797. Compare only
    figures of equal numbers of pictures and neighbours.
    """
    _check_sets(real, drawn, neighbours + 1)
    real_radius, drawn_radius = _radius(real, neighbours), _radius(drawn, neighbours)
    distances = np.sqrt(squared_distances(real, drawn))  # [real, drawn]
    near_real = distances <= real_radius[:, None]
    near_drawn = distances <= drawn_radius[None]
    return Manifold(
        precision=float(near_real.any(axis=0).mean()),
        recall=float(near_drawn.any(axis=1).mean()),
        density=float(near_real.sum(axis=0).mean() / neighbours),
        coverage=float(near_real.any(axis=1).mean()),
    )


def _radius(points: Floats, neighbours: int) -> Floats:
    """Distance of each point to its k-th nearest other one."""
    parts = [
        np.partition(squared_distances(part, points), neighbours, axis=1)[:, neighbours]
        for part in _blocks(points, len(points))
    ]
    return np.sqrt(np.concatenate(parts))


def squared_distances(points: Floats, others: Floats) -> Floats:
    """Squared distances between the rows of two sets: [n, m]."""
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ others.T + (others**2).sum(axis=1)
    return np.asarray(np.maximum(squares, 0))


def nearest(points: Floats, others: Floats) -> tuple[Ints, Floats]:
    """The index of the nearest other point to each point, and the distance: [n] each."""
    indices, distances = [], []
    for part in _blocks(points, len(others)):
        squares = squared_distances(part, others)
        index = squares.argmin(axis=1)
        indices.append(index)
        distances.append(np.sqrt(squares[np.arange(len(part)), index]))
    return np.concatenate(indices), np.concatenate(distances)


def auroc(low: Floats, high: Floats) -> float:
    """Chance that a number of the second set is above one of the first, ties counted half.

    Area under the receiver operating characteristic, as the Mann-Whitney statistic.

    >>> auroc(np.array([0.1, 0.4]), np.array([0.4, 0.8, 0.9]))
    0.9166666666666666
    """
    if not len(low) or not len(high):
        return float("nan")
    values, ranks = np.unique(np.concatenate([low, high]), return_inverse=True)
    counts = np.bincount(ranks, minlength=len(values))
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_rank[ranks[len(low) :]].sum()
    return float((rank_sum - len(high) * (len(high) + 1) / 2) / (len(low) * len(high)))


@dataclass(frozen=True)
class NearCopies:
    """Drawings that are near-copies and the real pictures they copy: indices of both, nearest first."""

    drawn: Ints
    real: Ints
    distances: Floats  # in units of the threshold: at most 1
    share: float  # of all drawings


@dataclass(frozen=True)
class CopyDetector:
    """Detects near-copies of training pictures: closer to one than further real pictures ever come.

    Features and pixels are compared, each in units of its threshold; a drawing is a copy if it is
    within both. A threshold is the distance below which only a small share of further real pictures
    lie from their nearest training picture (the smallest observed, where they are few).
    """

    features: Floats  # [n, width] of the training pictures
    pixels: NDArray[np.float32]  # [n, pixels] of them
    feature_limit: float
    pixel_limit: float

    def distances(self, features: Floats, images: Contents) -> tuple[Ints, Floats]:
        """The nearest training picture of each drawing, and its distance: 1 and below is a copy."""
        indices, feature_distances = nearest(features, self.features)
        pixel_distances = np.sqrt(((flatten_pixels(images) - self.pixels[indices]) ** 2).sum(axis=1))
        scaled = np.maximum(feature_distances / self.feature_limit, pixel_distances / self.pixel_limit)
        return indices, scaled

    def margins(self, features: Floats, images: Contents) -> Floats:
        """Distance of each drawing beyond the threshold of a copy; 0 and below is a copy."""
        return self.distances(features, images)[1] - 1

    def near_copies(self, features: Floats, images: Contents, limit: int = 20) -> NearCopies:
        """The copies among drawings, at most `limit` of them."""
        indices, distances = self.distances(features, images)
        order = np.argsort(distances, kind="stable")
        copies = order[distances[order] <= 1]
        shown = copies[:limit]
        return NearCopies(shown, indices[shown], distances[shown], len(copies) / max(len(distances), 1))


def fit_copy_detector(
    trained: tuple[Floats, Contents], further: tuple[Floats, Contents], quantile: float = 0.01
) -> CopyDetector:
    """Set the thresholds from real pictures: (features, images) of the training and of further ones."""
    features, images = trained
    indices, feature_distances = nearest(further[0], features)
    differences = flatten_pixels(further[1]) - flatten_pixels(images)[indices]
    pixel_distances = np.sqrt((differences**2).sum(axis=1))
    limits = [max(float(np.quantile(part, quantile)), 1e-12) for part in (feature_distances, pixel_distances)]
    return CopyDetector(features, flatten_pixels(images), limits[0], limits[1])


def flatten_pixels(images: Contents) -> NDArray[np.float32]:
    """Pictures as rows of pixels in [0, 1], from floats or bytes."""
    scale = 255 if images.dtype == np.uint8 else 1
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(scale)


def _blocks(points: Floats, others: int) -> Iterator[Floats]:
    """Parts of the points whose distances to so many others are held at a time."""
    step = max(BLOCK // max(others, 1), 1)
    return (points[start : start + step] for start in range(0, len(points), step))


def _check_sets(real: Floats, drawn: Floats, min_size: int = 2) -> None:
    if min(len(real), len(drawn)) < min_size or real.shape[1:] != drawn.shape[1:]:
        raise DataError(
            f"features came as {real.shape} and {drawn.shape}; expected two sets of one width, "
            f"of at least {min_size} pictures each"
        )
