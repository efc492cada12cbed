"""A mixture of Gaussians with full covariances, fitted by expectation and maximisation.

Dempster, Laird and Rubin 1977; the formulas are those of Bishop 2006, "Pattern Recognition and
Machine Learning", section 9.2.2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

EM_ROUNDS = 30  # of expectation and maximisation; the likelihood hardly changes after about twenty
KMEANS_ROUNDS = 5  # for the initial clusters
VARIANCE_FLOOR = 1e-3  # as a share of the points' variance: keeps covariances invertible
PRIOR_POINTS = 5.0  # weight of the spherical prior of each covariance, in points


@dataclass(frozen=True)
class GaussianMixture:
    """Weights [k], means [k, d] and Cholesky factors of the covariances [k, d, d] of the Gaussians."""

    weights: Tensor
    means: Tensor
    factors: Tensor  # lower triangular L with covariance L L'

    def log_parts(self, points: Tensor) -> Tensor:
        """Log of weight times density for each point and Gaussian: [n, k]."""
        dimensions = points.shape[1]
        # |L^-1 (x - mean)|^2 with L^-1 formed once: k small matrices, n many points
        eye = torch.eye(dimensions, dtype=points.dtype, device=points.device)
        inverse = torch.linalg.solve_triangular(self.factors, eye.expand_as(self.factors), upper=False)
        stacked = inverse.reshape(-1, dimensions)  # [k d, d]
        shifts = (inverse @ self.means[:, :, None]).reshape(-1)
        squares = (points @ stacked.T - shifts).view(len(points), -1, dimensions).square().sum(2)
        log_volumes = torch.diagonal(self.factors, dim1=1, dim2=2).log().sum(1)
        parts: Tensor = (
            self.weights.log() - log_volumes - 0.5 * (squares + dimensions * math.log(2 * math.pi))
        )
        return parts

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Samples of the mixture: [count, d]."""
        component = torch.multinomial(self.weights, count, replacement=True, generator=rng)
        noise = torch.randn(
            count, self.means.shape[1], generator=rng, device=self.means.device, dtype=self.means.dtype
        )
        return self.means[component] + (self.factors[component] @ noise[:, :, None])[:, :, 0]


def fit_mixture(
    points: Tensor, components: int, rng: torch.Generator, rounds: int = EM_ROUNDS
) -> GaussianMixture:
    """Fit a mixture of so many Gaussians to points [n, d], started from k-means.

    Each covariance is drawn towards a spherical one of the width of the initial clusters, as if PRIOR_POINTS
    points had it (the mode under an inverse Wishart prior): a component of few points does not degenerate.
    """
    components = max(1, min(components, len(points) // (points.shape[1] + 1)))
    eye = torch.eye(points.shape[1], device=points.device)
    shares = _kmeans_shares(points, components, rng)
    within = points - shares @ ((shares.T @ points) / shares.sum(0).clamp(min=1)[:, None])
    prior = eye * (within.square().mean() + VARIANCE_FLOOR * points.var(0, correction=0).mean() + 1e-9)
    mixture = _maximise(points, shares, prior)
    for _ in range(rounds if components > 1 else 0):
        parts = mixture.log_parts(points)
        mixture = _maximise(points, parts.softmax(1), prior)
    return mixture


def _maximise(points: Tensor, shares: Tensor, prior: Tensor) -> GaussianMixture:
    """The mixture that is most likely when each point belongs to each Gaussian in these shares [n, k]."""
    counts = shares.sum(0) + 1e-9
    means = (shares.T @ points) / counts[:, None]
    seconds = torch.stack([(points * share[:, None]).T @ points for share in shares.T])
    scatter = seconds - counts[:, None, None] * means[:, :, None] * means[:, None, :]
    covariance = (scatter + PRIOR_POINTS * prior) / (counts + PRIOR_POINTS)[:, None, None]
    return GaussianMixture(
        counts / counts.sum(), means, torch.linalg.cholesky(covariance + VARIANCE_FLOOR * prior)
    )


def _kmeans_shares(points: Tensor, components: int, rng: torch.Generator) -> Tensor:
    """Each point's k-means cluster, one-hot: [n, k]."""
    order = torch.randperm(len(points), generator=rng, device=points.device)
    centres = points[order[:components]]
    for _ in range(KMEANS_ROUNDS):
        shares = torch.nn.functional.one_hot(torch.cdist(points, centres).argmin(1), components).float()
        counts = shares.sum(0)[:, None]
        centres = torch.where(counts > 0, (shares.T @ points) / counts.clamp(min=1), centres)
    return shares
