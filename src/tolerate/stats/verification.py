"""Verify a certificate: recompute it from its table and compare every number.

A certificate is a claim by someone; its table is the evidence. `verify` runs the named method again with
the options written in the certificate and says what differs: the data, a number, or the promise itself.
The evidence of an audit is its record of readings (`verify_audit`), that of a watch the losses reviewed
(`verify_watch`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tolerate.errors import OptionError, TolerateError
from tolerate.records import Certificate, Table
from tolerate.stats.certify.samples import Sample
from tolerate.stats.certify.tally import CountSource
from tolerate.stats.certify.threshold import CertifyOptions, certify_sample

COMPARED_FIELDS = (
    "scope",
    "threshold",
    "coverage",
    "risk_bound",
    "risk_seen",
    "labels",
    "clusters",
    "released",
    "method",
    "assumptions",
    "slices",
    "risks",
)
RELATIVE_ERROR = 1e-9  # relative; sums may be added in another order on another machine


@dataclass(frozen=True)
class Verification:
    """Whether a certificate holds, and if not, every reason."""

    holds: bool
    reasons: tuple[str, ...] = ()
    recomputed: Certificate | None = None

    def __str__(self) -> str:
        if self.holds:
            return "the certificate holds: every number was recomputed from the table"
        return "the certificate does not hold: " + "; ".join(self.reasons)


def verify(certificate: Certificate, table: Table | CountSource) -> Verification:
    """Recompute a certificate from its table, or from a source that answers by counts (`tolerate.parts`).

    It holds if the table is the one it names (SHA-256) and every figure comes out the same; numbers
    may differ by a relative 1e-9. The advice, the date and the version are no part of the promise.

    >>> from tolerate.stats.certify.threshold import certify
    >>> table = Table(losses=np.zeros(100), sha256="4f")
    >>> verify(certify(table, tolerance=0.05), table).holds
    True
    """
    reasons = _contradictions(certificate) + _data_faults(certificate, table)
    try:
        recomputed = _recompute(certificate, table)
    except (TolerateError, KeyError, TypeError, ValueError, AttributeError) as error:
        return Verification(False, (*reasons, f"it cannot be recomputed: {error}"))
    reasons += _differences(certificate, recomputed)
    return Verification(not reasons, tuple(reasons), recomputed)


def verify_audit(
    certificate: Certificate,
    record: Mapping[str, object],
    *,
    scores: ArrayLike | None = None,
    flagged: ArrayLike | None = None,
) -> Verification:
    """Recompute the certificate of an audit from the record of its readings (`to_json`).

    The order of labelling is drawn again from the seed, and every reading is replayed in it: a reading left
    out, added or out of order is noticed. scores, flagged: those that the audit was opened with.

    >>> from tolerate.stats.audit.audit import Audit
    >>> audit = Audit(items=200, tolerance=0.05, seed=3)
    >>> while audit.open:
    ...     audit.record(audit.next(), loss=0)
    >>> verify_audit(audit.certificate, audit.to_json()).holds
    True
    """
    reasons = _contradictions(certificate)
    try:
        recomputed = _replay_audit(certificate, record, scores, flagged)
    except (TolerateError, KeyError, TypeError, ValueError) as error:
        return Verification(False, (*reasons, f"it cannot be recomputed: {error}"))
    reasons += _differences(certificate, recomputed)
    for name in ("tolerance", "confidence", "options", "losses_by"):
        stated, actual = getattr(certificate, name), getattr(recomputed, name)
        if not _same(stated, actual):
            reasons.append(f"{name} is {_text_of(actual)}, the certificate says {_text_of(stated)}")
    return Verification(not reasons, tuple(reasons), recomputed)


def _replay_audit(
    certificate: Certificate,
    record: Mapping[str, object],
    scores: ArrayLike | None,
    flagged: ArrayLike | None,
) -> Certificate:
    if certificate.options.get("kind") == "judged audit":
        from tolerate.stats.audit.assisted import JudgedAudit

        if flagged is None:
            raise OptionError("a judge helped in this audit; give flagged=, the items that it flagged")
        return JudgedAudit.from_json(record, flagged).certificate
    from tolerate.stats.audit.audit import Audit

    return Audit.from_json(record, scores).certificate


def verify_watch(
    record: Mapping[str, Any],
    losses: ArrayLike,
    weights: ArrayLike | None = None,
    slices: Sequence[str] | None = None,
) -> Verification:
    """Replay a watch (`to_json`) from its reviewed losses, in their order, and compare every number and alarm.

    >>> from tolerate.stats.monitor.watch import Watch
    >>> watch = Watch(tolerance=0.02)
    >>> watch.update_many([0.0, 0.0, 0.0, 1.0] * 25)
    >>> verify_watch(watch.to_json(), [0.0, 0.0, 0.0, 1.0] * 25).holds
    True
    """
    from tolerate.stats.monitor.watch import Watch

    try:
        watch = Watch.from_json(record)
        options = {
            key: record[key] for key in ("tolerance", "confidence", "slices", "run_length", "max_weight")
        }
        replayed = Watch(watch.certificate, **options)
        replayed.update_many(losses, weights, slices)
    except (TolerateError, KeyError, TypeError, ValueError) as error:
        return Verification(False, (f"it cannot be replayed: {error}",))
    reasons = []
    for stated, line in zip(record["lines"], replayed.all_lines, strict=True):
        actual, where = line.to_json(), f' of "{line.name}"' if line.name else ""
        reasons += [
            f"{name}{where} is {_text_of(actual[name])}, the watch says {_text_of(stated.get(name))}"
            for name in actual
            if not _same(stated.get(name), actual[name])
        ]
    return Verification(not reasons, tuple(reasons))


def _contradictions(certificate: Certificate) -> list[str]:
    """Contradictions that need no table."""
    contradictions = []
    if certificate.risks:
        figures = {name: getattr(certificate, name) for name in ("tolerance", "risk_bound", "risk_seen")}
        for name, value in figures.items():
            if not _same(certificate.risks[0].get(name), value):
                contradictions.append(f"its {name} {_text_of(value)} is not that of its first loss")
    if certificate.risk_bound is not None and certificate.risk_bound > certificate.tolerance:
        contradictions.append(
            f"its risk bound {certificate.risk_bound:g} is above its own tolerance {certificate.tolerance:g}"
        )
    if (certificate.scope == "above") != (certificate.threshold is not None):
        contradictions.append(
            f'scope "{certificate.scope}" and threshold {certificate.threshold} contradict each other'
        )
    return contradictions


def _data_faults(certificate: Certificate, table: Table | CountSource) -> list[str]:
    """Whether this is the table the certificate was made from."""
    if certificate.data_sha256 is None or table.sha256 is None:
        return []
    if certificate.data_sha256 == table.sha256:
        return []
    return [
        f"the table is another one: its SHA-256 is {table.sha256[:12]}..., "
        f"the certificate rests on {certificate.data_sha256[:12]}..."
    ]


def _recompute(certificate: Certificate, table: Table | CountSource) -> Certificate:
    """The certificate that the same options give today."""
    if {"compare", "race"} & set(certificate.options):
        raise OptionError(
            "it was proven together with other strategies, which one table does not show; "
            "call compare again with the options written in it"
        )
    data = Sample.of_table(table) if isinstance(table, Table) else table
    tolerances = _tolerances(certificate, list(data.losses))
    options = CertifyOptions.from_json(certificate.options)
    recomputed = certify_sample(data, tolerances, certificate.confidence, options, certificate.losses_by)
    return replace(recomputed, options=dict(certificate.options))  # with what was added to them later


def _tolerances(certificate: Certificate, losses: list[str]) -> dict[str, float]:
    """The tolerance of each loss, in the order of the certificate."""
    if not certificate.risks:
        if len(losses) > 1:
            raise OptionError(f"it is about one loss, the table holds {len(losses)}: {', '.join(losses)}")
        return {losses[0]: certificate.tolerance}
    limits = {str(risk["name"]): float(risk["tolerance"]) for risk in certificate.risks}
    if set(limits) != set(losses):
        raise OptionError(f"it is about the losses {', '.join(limits)}, the table holds {', '.join(losses)}")
    return limits


def _differences(certificate: Certificate, recomputed: Certificate) -> list[str]:
    differences = []
    for name in COMPARED_FIELDS:
        stated, actual = getattr(certificate, name), getattr(recomputed, name)
        if not _same(stated, actual):
            differences.append(f"{name} is {_text_of(actual)}, the certificate says {_text_of(stated)}")
    return differences


def _same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=RELATIVE_ERROR, abs_tol=1e-12)
    return bool(a == b)


def _text_of(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
