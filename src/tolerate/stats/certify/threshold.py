"""Certify what may be released on its score: the largest part whose risk is provably within the tolerance.

`certify` returns a `Certificate`. The promise: P(risk of what is released <= tolerance) >=
confidence, over the draw of the labelled sample, whatever the scores are worth.

**Independent rows, losses 0 or 1** (exact). Let v be the (k+1)-th largest score. Given v, the
rows scored above v are an independent sample from what the rule "release above v" releases, so
the binomial test of their errors is exact. The prefixes k are tested in increasing order from a
start that does not depend on the losses tested, each at the full level, until one fails. Then the
chance that an unsafe prefix is released is at most 1 - confidence: only the first unsafe one of
the sequence matters, and among the rows above it the errors are stochastically at least
binomial(k, tolerance), also given which earlier prefixes were safe (docs/ideas/threshold.md has the proof).

**Clusters, graded losses, weights.** The claim "the risk above v exceeds the tolerance" says that a
mean over independent units is positive (`totals.py`); it is tested by betting. A random part of the
units fixes the thresholds and where to start; the rest tests them.

**Several losses.** A threshold is unsafe if one of its risks exceeds its tolerance; it passes only if
every loss's test passes. At the first unsafe threshold of the walk one given claim is true, and
its test alone passes with probability at most 1 - confidence: no correction is needed.

Angelopoulos et al. 2110.01052 (fixed-sequence testing); Geifman & El-Yaniv 2017; Waudby-Smith & Ramdas 2010.09686.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from tolerate.base.json_types import JsonValue
from tolerate.errors import OptionError
from tolerate.messages.catalogue import message
from tolerate.records import Certificate, Table
from tolerate.stats.certify.advice import advice
from tolerate.stats.certify.evidence import SampleEvidence, certified_slices, evidence_of, loss_lines
from tolerate.stats.certify.first_test import History, history_of
from tolerate.stats.certify.prefixes import ReleaseRule
from tolerate.stats.certify.samples import (
    Losses,
    Sample,
    Tolerances,
    fingerprint,
    sample,
    share,
    tolerances_of,
)
from tolerate.stats.certify.tally import CountSource
from tolerate.stats.certify.totals import largest_unit_weight
from tolerate.version import __version__

MAX_HASHED_ROWS = 1_000_000  # columns given as arrays are hashed up to this length


@dataclass(frozen=True)
class CertifyOptions:
    """Options of `certify` beside tolerance and confidence; the fields are its arguments."""

    comparisons: int = 1
    each_slice: bool = False
    seed: int = 0
    largest_cluster: float | None = None
    history: History | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """The options as a certificate stores them."""
        history = {} if self.history is None else {"history": self.history.to_json()}
        return {
            "comparisons": self.comparisons,
            "each_slice": self.each_slice,
            "seed": self.seed,
            "largest_cluster": self.largest_cluster,
            **history,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The options in a certificate; raises KeyError if one is missing."""
        history = record.get("history")
        return cls(
            each_slice=record["each_slice"],
            seed=record["seed"],
            largest_cluster=record["largest_cluster"],
            comparisons=record["comparisons"],
            history=None if history is None else History.from_json(history),
        )


def certify(
    table: Table | CountSource | None = None,
    *,
    losses: Losses | None = None,
    scores: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    slices: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    tolerance: Tolerances,
    confidence: float = 0.95,
    history: tuple[ArrayLike, ArrayLike] | None = None,
    comparisons: int = 1,
    each_slice: bool = False,
    seed: int = 0,
    largest_cluster: float | None = None,
    losses_by: str = "",
) -> Certificate:
    """Certify the largest part that can be released with risk at most the tolerance.

    table, or losses= and the other columns as arrays; losses may be a dict of several losses,
        with a dict of their tolerances: all of them hold for what is released. Instead of a table, a
        source that answers by counts (`tolerate.parts`: many files, several workers or machines).
    history: (losses, scores) of earlier labelled data, only to choose where the tests start.
    comparisons: how many certificates share this confidence; the level is divided among them.
    each_slice: also certify each slice by itself, with a threshold of its own; all of them hold at once.
    seed: of the random order in which clusters and graded losses are tested.
    largest_cluster: the most items (or weight) that a cluster of the population can have, if known.

    >>> rng = np.random.default_rng(1)
    >>> scores = rng.random(2000)
    >>> wrong = rng.random(2000) > scores**0.25
    >>> cert = certify(losses=wrong, scores=scores, tolerance=0.05, confidence=0.9)
    >>> cert.scope, cert.risk_bound
    ('above', 0.05)
    """
    columns = (losses, scores, clusters, slices, weights)
    if table is None or isinstance(table, Table):
        data: Sample | CountSource = sample(table, *columns, lean=True)
    elif any(column is not None for column in columns):
        raise OptionError("a source has its own columns; leave out losses, scores, clusters, slices, weights")
    else:
        data = table
    tolerances = tolerances_of(tolerance, list(data.losses))
    options = CertifyOptions(
        comparisons=_checked_count(comparisons),
        each_slice=bool(each_slice),
        seed=int(seed),
        largest_cluster=largest_cluster,
        history=None if history is None else history_of(*history),
    )
    return certify_sample(data, tolerances, share(confidence, "confidence", 0.95), options, losses_by)


def certify_sample(
    data: Sample | CountSource,
    tolerances: Mapping[str, float],
    confidence: float,
    options: CertifyOptions,
    losses_by: str,
) -> Certificate:
    """The certificate of a checked sample, which then carries the options."""
    if options.each_slice and not _has_slices(data):
        raise OptionError("each_slice=True needs slices; give slices= or a table with a slice column")
    evidence = evidence_of(data, options.seed, options.largest_cluster)
    delta = (1 - confidence) / options.comparisons
    rule = evidence.find(tolerances, delta, options.history)
    return _certificate(data, evidence, rule, tolerances, delta, confidence, options, losses_by)


def find(
    labelled: Sample,
    tolerances: Mapping[str, float],
    delta: float,
    *,
    history: History | None = None,
    seed: int = 0,
    largest: float | None = None,
) -> ReleaseRule:
    """The largest part that passes at level delta, by the method that fits the sample."""
    return evidence_of(labelled, seed, largest).find(tolerances, delta, history)


def _has_slices(data: Sample | CountSource) -> bool:
    return data.slices is not None if isinstance(data, Sample) else data.sliced


def _checked_count(comparisons: int) -> int:
    if not (isinstance(comparisons, int | np.integer) and comparisons >= 1):
        raise OptionError(f"comparisons is {comparisons!r}; expected a whole number, 1 or more")
    return int(comparisons)


def _certificate(
    data: Sample | CountSource,
    evidence: SampleEvidence,
    rule: ReleaseRule,
    tolerances: Mapping[str, float],
    delta: float,
    confidence: float,
    options: CertifyOptions,
    losses_by: str,
) -> Certificate:
    """The record: the rule, what the sample shows of it, and what it rests on."""
    risks = loss_lines(evidence, rule, tolerances, rule.bound)
    slices = evidence.slice_lines(rule, risks[0]["name"], delta)
    if options.each_slice:
        slices = certified_slices(evidence, slices, tolerances, delta)
    return Certificate(
        tolerance=risks[0]["tolerance"],
        confidence=confidence,
        scope=rule.scope,
        threshold=evidence.threshold(rule),
        coverage=evidence.coverage(rule),
        risk_bound=risks[0]["risk_bound"],
        risk_seen=risks[0]["risk_seen"],
        labels=evidence.labels,
        clusters=evidence.units,
        released=evidence.released(rule),
        method=rule.method,
        assumptions=_assumptions(data, options),
        advice=advice(evidence, rule, tolerances, delta),
        slices=tuple(dict(line) for line in slices),
        risks=tuple(dict(line) for line in risks) if len(risks) > 1 else (),
        losses_by=losses_by,
        names=dict(data.names),
        options=options.to_json(),
        data_sha256=_sha256(data),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


def _sha256(data: Sample | CountSource) -> str | None:
    if data.sha256 is not None or not isinstance(data, Sample):
        return data.sha256
    return fingerprint(data) if len(data) <= MAX_HASHED_ROWS else None


def _assumptions(data: Sample | CountSource, options: CertifyOptions) -> tuple[str, ...]:
    """What the promise rests on, a sentence each."""
    sentences = [message("assume.same_population")]
    if not isinstance(data, Sample) or data.clusters is None:
        sentences.append(message("assume.single_clusters" if data.named_clusters else "assume.rows"))
    if isinstance(data, Sample) and data.clusters is not None:
        largest = largest_unit_weight(data, options.largest_cluster)
        sentences.append(message("assume.clusters"))
        sentences.append(message("assume.largest_cluster", size=largest))
    if isinstance(data, Sample) and data.weights is not None:
        largest = largest_unit_weight(data, options.largest_cluster)
        sentences.append(message("assume.weights", size=largest))
    if options.each_slice:
        sentences.append(message("assume.slices"))
    if options.comparisons > 1:
        sentences.append(message("assume.shared", count=options.comparisons))
    return (*sentences, message("assume.losses"))
