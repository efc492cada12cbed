"""Strategies of a run: what the sample of each proves at every tolerance, what it costs, and which is the cheapest."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Floats
from tolerate.records import Certificate, Prices
from tolerate.report.results import BestPoint, ProofResult, StrategyPoint, StrategyResult
from tolerate.runs.answers import FreshAnswers
from tolerate.runs.plan import RunPlan
from tolerate.runs.workshop import Workshop
from tolerate.stats.bounds import binomial_interval
from tolerate.stats.calibration import Calibration, calibration
from tolerate.stats.certify.threshold import certify

AUTOMATIC_COVERAGE = 0.995  # from which a job counts as released automatically
PEOPLE = "people"  # the strategy that remains where nothing may be released


@dataclass(frozen=True)
class Strategy:
    """One way to do the job: a model and how its items are refined."""

    model: str
    refine: str

    @property
    def name(self) -> str:
        """The strategy's name in files and reports."""
        return self.model if self.refine == "plain" else f"{self.model} {self.refine}"


def strategies_of(plan: RunPlan) -> list[Strategy]:
    """Every strategy of a run: each model with each refining."""
    return [Strategy(model, refine) for model in plan.models for refine in plan.refine]


def evaluate(
    strategy: Strategy, plan: RunPlan, workshop: Workshop, folder: Path, losses: Floats, scores: Floats
) -> StrategyResult:
    """Certify a strategy's sample at each tolerance of the map, together with all other strategies."""
    candidates = workshop.candidate_count(strategy.refine)
    seconds = workshop.compute_seconds(strategy.model, folder, candidates)
    seconds += workshop.scoring_seconds(strategy.refine)
    certificates = [
        certify(
            losses=losses,
            scores=scores,
            clusters=np.arange(len(losses)),  # requests are drawn one by one: each its own cluster
            tolerance=tolerance,
            confidence=plan.confidence,
            comparisons=len(strategies_of(plan)),
        )
        for tolerance in plan.tolerances
    ]
    return StrategyResult(
        id=strategy.name,
        model=strategy.model,
        refine=strategy.refine,
        calibration=_calibration(strategy, workshop, losses, scores),
        candidates=candidates,
        compute_seconds=seconds,
        labels=len(losses),
        risk=float(losses.mean()),
        points=tuple(_point(certificate, plan.job.prices, seconds) for certificate in certificates),
    )


def _calibration(
    strategy: Strategy, workshop: Workshop, losses: Floats, scores: Floats
) -> Calibration | None:
    """Calibration of a score that claims to be a probability; None for other scores."""
    present = scores[~np.isnan(scores)]
    if not len(present) or not workshop.score_is_probability(strategy.refine):
        return None
    if present.min() < 0 or present.max() > 1 + 1e-6:  # a judge of the user's own, on a scale of its own
        return None
    return calibration(np.minimum(scores, 1.0), losses == 0)


def _point(certificate: Certificate, prices: Prices, seconds: float) -> StrategyPoint:
    return StrategyPoint(
        certificate.tolerance,
        certificate.scope,
        certificate.threshold,
        certificate.coverage,
        _cost(prices, certificate.coverage, seconds),
    )


def _cost(prices: Prices, coverage: float, seconds: float) -> float:
    """Price of an accepted item: the compute of a request, and a person where it is not released."""
    if coverage == 0:
        return prices.review
    return prices.compute * seconds + prices.review * (1 - coverage)


def best_points(strategies: Sequence[StrategyResult], tolerances: Sequence[float]) -> list[BestPoint]:
    """The cheapest strategy at each tolerance; where none may release anything, people."""
    return [_best_point(strategies, index, tolerance) for index, tolerance in enumerate(tolerances)]


def _best_point(strategies: Sequence[StrategyResult], index: int, tolerance: float) -> BestPoint:
    cheapest = min(strategies, key=lambda strategy: _cost_of(strategy.points[index]))
    point = cheapest.points[index]
    name = cheapest.id if point.scope != "nothing" else PEOPLE
    automatic = point.coverage is not None and point.coverage >= AUTOMATIC_COVERAGE
    zone = "none" if name == PEOPLE else "auto" if automatic else "part"
    return BestPoint(tolerance, point.scope, point.threshold, point.coverage, point.cost, name, zone)


def _cost_of(point: StrategyPoint) -> float:
    return inf if point.cost is None else point.cost


def main_strategy(plan: RunPlan, strategies: Sequence[StrategyResult], best: Sequence[BestPoint]) -> Strategy:
    """The best strategy at the run's own tolerance; where nothing is proven there, the least wrong one."""
    name = best[plan.tolerances.index(plan.tolerance)].strategy
    if name == PEOPLE:
        chosen = min(strategies, key=lambda strategy: inf if strategy.risk is None else strategy.risk)
    else:
        chosen = next(strategy for strategy in strategies if strategy.id == name)
    return Strategy(chosen.model, chosen.refine)


def releasing_strategies(plan: RunPlan, best: Sequence[BestPoint]) -> list[Strategy]:
    """The strategies that release something at some tolerance, without repeats."""
    by_name = {strategy.name: strategy for strategy in reversed(strategies_of(plan))}
    return [by_name[name] for name in dict.fromkeys(row.strategy for row in best if row.zone != "none")]


def prove(point: BestPoint, fresh: FreshAnswers) -> ProofResult:
    """Fresh requests, releases and wrong ones among them, with a 95% interval for the risk."""
    mask = fresh.release_mask(point.scope, point.threshold)
    losses = fresh.losses[mask]
    wrong, count = int((losses > 0).sum()), len(losses)
    low, high = binomial_interval(wrong, count, 0.95)
    risk = float(losses.mean()) if count else None
    return ProofResult(len(mask), count, wrong, risk, low, high)
