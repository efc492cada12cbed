"""Does a certificate hold? Recompute it from its table and compare every number.

A certificate is a claim by someone; its table is the evidence. `verify` runs the named method again with
the options written in the certificate and says what differs: the data, a number, or the promise itself.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tolerate.errors import OptionError, TolerateError
from tolerate.records import Certificate, Table
from tolerate.stats.samples import Sample
from tolerate.stats.threshold import certify_sample

COMPARED = (
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
CLOSE = 1e-9  # relative; sums may be added in another order on another machine


@dataclass(frozen=True)
class Verification:
    """Whether a certificate holds, and if not, every reason found."""

    holds: bool
    reasons: tuple[str, ...] = ()
    recomputed: Certificate | None = None

    def __str__(self) -> str:
        if self.holds:
            return "the certificate holds: every number was recomputed from the table"
        return "the certificate does not hold: " + "; ".join(self.reasons)


def verify(certificate: Certificate, table: Table) -> Verification:
    """Recompute a certificate from its table.

    It holds if the table is the one it names (SHA-256) and every figure comes out the same; numbers
    may differ by a relative 1e-9. The advice, the date and the version are no part of the promise.

    >>> from tolerate.stats import certify
    >>> table = Table(losses=np.zeros(100), sha256="4f")
    >>> verify(certify(table, tolerance=0.05), table).holds
    True
    """
    reasons = _inner(certificate) + _data(certificate, table)
    try:
        again = _again(certificate, table)
    except (TolerateError, KeyError, TypeError) as error:
        return Verification(False, (*reasons, f"it cannot be recomputed: {error}"))
    reasons += _different(certificate, again)
    return Verification(not reasons, tuple(reasons), again)


def _inner(certificate: Certificate) -> list[str]:
    """Contradictions that need no table."""
    found = []
    if certificate.risk_bound is not None and certificate.risk_bound > certificate.tolerance:
        found.append(
            f"its risk bound {certificate.risk_bound:g} is above its own tolerance {certificate.tolerance:g}"
        )
    if (certificate.scope == "above") != (certificate.threshold is not None):
        found.append(
            f'scope "{certificate.scope}" and threshold {certificate.threshold} contradict each other'
        )
    return found


def _data(certificate: Certificate, table: Table) -> list[str]:
    """Whether this is the table the certificate was made from."""
    if certificate.data_sha256 is None or table.sha256 is None:
        return []
    if certificate.data_sha256 == table.sha256:
        return []
    return [
        f"the table is another one: its SHA-256 is {table.sha256[:12]}..., "
        f"the certificate rests on {certificate.data_sha256[:12]}..."
    ]


def _again(certificate: Certificate, table: Table) -> Certificate:
    """The certificate that the same options give today."""
    if {"compare", "race"} & set(certificate.options):
        raise OptionError(
            "it was proven together with other strategies, which one table does not show; "
            "call compare again with the options written in it"
        )
    given = Sample.of_table(table)
    return certify_sample(
        given,
        {next(iter(given.losses)): certificate.tolerance},
        certificate.confidence,
        dict(certificate.options),
        certificate.losses_by,
    )


def _different(certificate: Certificate, again: Certificate) -> list[str]:
    found = []
    for name in COMPARED:
        said, is_now = getattr(certificate, name), getattr(again, name)
        if not _same(said, is_now):
            found.append(f"{name} is {_shown(is_now)}, the certificate says {_shown(said)}")
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)
    return bool(a == b)


def _shown(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)
