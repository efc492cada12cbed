"""Cascades and their certificates: a cheap model answers where it is sure enough, else an expensive one, else a person.

The risk of a cascade is the mean loss of everything that any of its tiers releases. Its thresholds are found and tested
together (`design_split`); for thresholds fixed beforehand the released items of the test part, whichever tier released
them, are an independent sample of what the cascade releases, so one exact test covers all tiers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.errors import DataError
from tolerate.messages.certificates import certificate_evidence, certificate_line, certificate_text
from tolerate.messages.comparisons import comparison_text
from tolerate.messages.numbers import lowest_score, percent
from tolerate.records import Certificate, Decision, Floats, JsonRecord
from tolerate.stats.compare.rules import RELEASE_ALL, SKIP_TIER, StrategyData, apply_rule, coverage_of
from tolerate.version import __version__


@dataclass(frozen=True)
class Tier(JsonRecord):
    """One tier of a cascade and the rule by which it releases."""

    name: str
    rule: str  # "all": everything that reaches it; "above": what scores at least the threshold; "skipped": never asked
    threshold: float | None  # lowest released score; None unless rule is "above"
    reached: float  # share of all items that it is asked about
    released: float  # share of all items that it releases
    risk_seen: float | None  # mean loss of those, in the sample


@dataclass(frozen=True)
class Cascade(JsonRecord):
    """The rule of a cascade, with the certificate of what it releases.

    The certificate's scope is "nothing", "all" (no person is ever asked) or "above"; its threshold is None: the
    thresholds are the tiers'. Ask for decisions here.
    """

    certificate: Certificate
    tiers: tuple[Tier, ...]

    def decide(self, *scores: float | None) -> Decision:
        """The decision about an item from the scores of the tiers asked so far, the first tier's first.

        RELEASE what the last tier asked has made, ESCALATE to the next tier, or REVIEW by a person. A tier
        that is skipped needs no score: give None. Without scores: whether the first tier is asked at all.
        """
        if len(scores) > len(self.tiers):
            raise DataError(f"{len(scores)} scores came; expected at most {len(self.tiers)}, one a tier")
        if not self.certificate.proven:
            return Decision.REVIEW
        if any(_releases(tier, score) for tier, score in zip(self.tiers, scores, strict=False)):
            return Decision.RELEASE
        remaining = self.tiers[len(scores) :]
        return Decision.ESCALATE if any(tier.rule != "skipped" for tier in remaining) else Decision.REVIEW

    def asks(self, *scores: float | None) -> str | None:
        """The tier to ask next, given the scores so far; None if the item is released or goes to a person."""
        if self.decide(*scores) != Decision.ESCALATE:
            return None
        return next(tier.name for tier in self.tiers[len(scores) :] if tier.rule != "skipped")

    @property
    def proven(self) -> bool:
        """Whether anything may be released."""
        return self.certificate.proven

    @property
    def coverage(self) -> float:
        """Share of items released by any tier."""
        return self.certificate.coverage

    def to_json(self) -> dict[str, JsonValue]:
        """The record as plain JSON values."""
        return {
            "certificate": self.certificate.to_json(),
            "tiers": [tier.to_json() for tier in self.tiers],
        }

    @classmethod
    def from_json(cls, record: JsonObject) -> "Cascade":
        """The record that `to_json` wrote."""
        certificate, tiers = record.get("certificate"), record.get("tiers")
        if set(record) != {"certificate", "tiers"}:
            raise DataError(f"a Cascade has the fields certificate and tiers, got {', '.join(record)}")
        if not isinstance(certificate, Mapping) or not isinstance(tiers, list | tuple):
            raise DataError("a Cascade has the JSON object of a certificate and a list of tiers")
        rows = [tier for tier in tiers if isinstance(tier, Mapping)]
        return cls(Certificate.from_json(certificate), tuple(map(Tier.from_json, rows)))

    def __str__(self) -> str:
        return cascade_text(self)


def cascade_text(cascade: Cascade, lang: str = "en") -> str:
    """The rule of a cascade, a line a tier, its promise and its evidence, in English ("en") or Chinese ("zh")."""
    certificate = cascade.certificate
    if not cascade.proven:
        return certificate_text(certificate, lang)
    tiers = [f"{tier.name}: {_tier_text(tier, lang)}" for tier in cascade.tiers]
    promise = comparison_text(
        "cascade.promise",
        lang,
        coverage=certificate.coverage,
        confidence=certificate.confidence,
        tolerance=certificate.tolerance,
    )
    return "\n".join([*tiers, promise, certificate_evidence(certificate, lang)])


def answer_line(answer: Certificate | Cascade, lang: str = "en") -> str:
    """A certificate or a cascade in one line."""
    if isinstance(answer, Certificate):
        return certificate_line(answer, lang)
    certificate = answer.certificate
    if not answer.proven:
        return certificate_line(certificate, lang)
    return comparison_text(
        "cascade.line",
        lang,
        tiers=", ".join(
            f"{tier.name} {_tier_brief(tier)}" for tier in answer.tiers if tier.rule != "skipped"
        ),
        coverage=certificate.coverage,
        confidence=certificate.confidence,
        tolerance=certificate.tolerance,
        labels=certificate.labels,
    )


def _tier_brief(tier: Tier) -> str:
    lowest = "" if tier.threshold is None else f"{lowest_score(tier.threshold, sign=True)} "
    return f"{lowest}({percent(tier.released)})"


def _tier_text(tier: Tier, lang: str) -> str:
    lowest = lowest_score(tier.threshold or 0.0, lang)
    return comparison_text(f"tier.{tier.rule}", lang, share=tier.released, lowest=lowest)


def _releases(tier: Tier, score: float | None) -> bool:
    if tier.rule == "all":
        return True
    missing = score is None or np.isnan(score) or tier.threshold is None
    return not missing and float(score) >= tier.threshold  # type: ignore[operator,arg-type]


@dataclass(frozen=True)
class SharedPromise:
    """The common part of the certificates of one comparison: the promise, and how it was proven."""

    tolerance: float
    confidence: float
    method: str
    options: Mapping[str, JsonValue]


def rule_certificate(
    data: StrategyData,
    thresholds: tuple[float, ...] | None,
    level: float,
    *,
    promise: SharedPromise,
    assumptions: Sequence[str],
    names: Mapping[str, str],
) -> Certificate:
    """The certificate of a rule that passed its test at this level; None for the thresholds: of nothing."""
    rule = thresholds or (SKIP_TIER,) * data.costs.size
    _, released, losses = apply_rule(data, rule)
    releases_all = RELEASE_ALL in rule
    single = data.costs.size == 1 and thresholds is not None and not releases_all
    return Certificate(
        tolerance=promise.tolerance,
        confidence=promise.confidence,
        scope="nothing" if thresholds is None else "all" if releases_all else "above",
        threshold=float(rule[0]) if single else None,
        coverage=coverage_of(data, released),
        risk_bound=None if thresholds is None else promise.tolerance,
        risk_seen=_mean(losses, data.weights[released]),
        labels=len(data),
        clusters=int(np.count_nonzero(np.bincount(data.units))),
        released=int(released.sum()),
        method=promise.method,
        assumptions=tuple(assumptions),
        names=dict(names),
        options={"compare": {**promise.options, "level": level if thresholds is not None else None}},
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


def tiers_of(
    data: StrategyData, names: Sequence[str], thresholds: tuple[float, ...] | None
) -> tuple[Tier, ...]:
    """The tiers of a rule, with what each releases of the sample."""
    rule = thresholds or (SKIP_TIER,) * data.costs.size
    tier, released, losses = apply_rule(data, rule)
    return tuple(
        _tier(data, name, index, threshold, tier, losses[tier[released] == index])
        for index, (name, threshold) in enumerate(zip(names, rule, strict=True))
    )


def _tier(
    data: StrategyData, name: str, index: int, threshold: float, tier: NDArray[np.int64], losses: Floats
) -> Tier:
    kind = {RELEASE_ALL: "all", SKIP_TIER: "skipped"}.get(threshold, "above")
    weights = data.weights / data.weights.sum()
    return Tier(
        name=name,
        rule=kind,
        threshold=threshold if kind == "above" else None,
        reached=0.0 if kind == "skipped" else float(weights[tier >= index].sum()),
        released=float(weights[tier == index].sum()),
        risk_seen=_mean(losses, data.weights[tier == index]),
    )


def _mean(losses: Floats, weights: Floats) -> float | None:
    return float(losses @ weights / weights.sum()) if len(losses) else None
