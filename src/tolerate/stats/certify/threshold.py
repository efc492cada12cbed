"""What may be released on its score: the largest part of which the risk is provably within the tolerance.

`certify` answers with a `Certificate`. The promise: P(risk of what is released <= tolerance) >=
confidence, over the draw of the labelled sample, whatever the scores are worth.

**Rows that stand alone, losses 0 or 1** (exact). Let v be the (k+1)-th largest score. Given v, the
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
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tolerate.errors import OptionError
from tolerate.messages.catalogue import message
from tolerate.records import Certificate, Table
from tolerate.stats.certify.advice import advice
from tolerate.stats.certify.evidence import Evidence, certified_slices, evidence_of, loss_lines
from tolerate.stats.certify.first_test import History, history_of
from tolerate.stats.certify.prefixes import Found
from tolerate.stats.certify.samples import (
    Losses,
    Sample,
    Tolerances,
    fingerprint,
    sample,
    share,
    tolerances_of,
)
from tolerate.stats.certify.tally import Source
from tolerate.stats.certify.totals import largest_of
from tolerate.version import __version__

HASHED_ROWS = 1_000_000  # columns given as arrays are hashed up to this length


def certify(
    table: Table | Source | None = None,
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
        given: Sample | Source = sample(table, *columns, lean=True)
    elif any(column is not None for column in columns):
        raise OptionError("a source has its own columns; leave out losses, scores, clusters, slices, weights")
    else:
        given = table
    tolerances = tolerances_of(tolerance, list(given.losses))
    options: dict[str, Any] = {
        "comparisons": _count(comparisons),
        "each_slice": bool(each_slice),
        "seed": int(seed),
        "largest_cluster": largest_cluster,
    }
    if history is not None:
        options["history"] = history_of(*history).told()
    return certify_sample(given, tolerances, share(confidence, "confidence", 0.95), options, losses_by)


def certify_sample(
    given: Sample | Source,
    tolerances: Mapping[str, float],
    confidence: float,
    options: dict[str, Any],
    losses_by: str,
) -> Certificate:
    """The certificate of a checked sample, by the options that it then carries."""
    if options["each_slice"] and not _sliced(given):
        raise OptionError("each_slice=True needs slices; give slices= or a table with a slice column")
    evidence = evidence_of(given, options["seed"], options["largest_cluster"])
    delta = (1 - confidence) / options["comparisons"]
    past = options.get("history")
    found = evidence.find(
        tolerances,
        delta,
        None if past is None else History(np.array(past["wrong"]), np.array(past["rows"])),
    )
    return _certificate(given, evidence, found, tolerances, delta, confidence, options, losses_by)


def find(
    given: Sample,
    tolerances: Mapping[str, float],
    delta: float,
    *,
    history: History | None = None,
    seed: int = 0,
    largest: float | None = None,
) -> Found:
    """The largest part that passes at level delta, by the method that fits the sample."""
    return evidence_of(given, seed, largest).find(tolerances, delta, history)


def _sliced(given: Sample | Source) -> bool:
    return given.slices is not None if isinstance(given, Sample) else given.sliced


def _count(comparisons: int) -> int:
    if not (isinstance(comparisons, int | np.integer) and comparisons >= 1):
        raise OptionError(f"comparisons is {comparisons!r}; expected a whole number, 1 or more")
    return int(comparisons)


def _certificate(
    given: Sample | Source,
    evidence: Evidence,
    found: Found,
    tolerances: Mapping[str, float],
    delta: float,
    confidence: float,
    options: dict[str, Any],
    losses_by: str,
) -> Certificate:
    """The record: the rule that was found, what the sample shows of it, and what it rests on."""
    risks = loss_lines(evidence, found, tolerances, found.bound)
    slices = evidence.slice_lines(found, risks[0]["name"], delta)
    if options["each_slice"]:
        slices = certified_slices(evidence, slices, tolerances, delta)
    return Certificate(
        tolerance=risks[0]["tolerance"],
        confidence=confidence,
        scope=found.scope,
        threshold=evidence.threshold(found),
        coverage=evidence.coverage(found),
        risk_bound=risks[0]["risk_bound"],
        risk_seen=risks[0]["risk_seen"],
        labels=evidence.labels,
        clusters=evidence.units,
        released=evidence.released(found),
        method=found.method,
        assumptions=_assumptions(given, options),
        advice=advice(evidence, found, tolerances, delta),
        slices=tuple(slices),
        risks=tuple(risks) if len(risks) > 1 else (),
        losses_by=losses_by,
        names=dict(given.names),
        options=options,
        data_sha256=_sha256(given),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


def _sha256(given: Sample | Source) -> str | None:
    if given.sha256 is not None or not isinstance(given, Sample):
        return given.sha256
    return fingerprint(given) if len(given) <= HASHED_ROWS else None


def _assumptions(given: Sample | Source, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What the promise rests on, in words."""
    said = [message("assume.same_population")]
    alone = not isinstance(given, Sample) or given.clusters is None
    if alone:
        said.append(message("assume.single_clusters" if given.named_clusters else "assume.rows"))
    if isinstance(given, Sample) and given.clusters is not None:
        said.append(message("assume.clusters"))
        said.append(message("assume.largest_cluster", size=largest_of(given, options["largest_cluster"])))
    if isinstance(given, Sample) and given.weights is not None:
        said.append(message("assume.weights", size=largest_of(given, options["largest_cluster"])))
    if options["each_slice"]:
        said.append(message("assume.slices"))
    if options["comparisons"] > 1:
        said.append(message("assume.shared", count=options["comparisons"]))
    return (*said, message("assume.losses"))
