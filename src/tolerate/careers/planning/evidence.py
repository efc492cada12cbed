"""Where a task's error rate comes from: a certificate, a labelled table, a run, or numbers typed in with their n.

Nothing else counts. An exposure index, a benchmark or a feeling is no error rate, and none is accepted.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.model.choice import Detection, Evidence, Work
from tolerate.careers.model.severity import matters
from tolerate.careers.person.me import Person, Piece
from tolerate.errors import DataError
from tolerate.records import Certificate, Floats


def of_piece(piece: Piece, person: Person, tolerance: float, exactness: float | None) -> Evidence | None:
    """What was measured of a task's error, or None. tolerance: what a table is certified for."""
    if piece.errors is not None and piece.checked is not None:
        matter = matters(piece.exactness or exactness) if piece.raw else 1.0
        return Evidence(
            piece.errors, piece.checked, f"typed in: {piece.errors:g} wrong of {piece.checked}", matter=matter
        )
    if piece.certificate:
        return of_certificate(person.place(piece.certificate))
    if piece.table:
        return of_table(person, piece, tolerance)
    return of_run(person.place(piece.run), tolerance) if piece.run else None


def of_certificate(path: Path) -> Evidence:
    """A certificate of `tolerate certify` or `audit`: what it proves of the part it releases."""
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; expected a certificate: tolerate certify ... --out {path.name}"
        )
    return from_certificate(Certificate.loads(path.read_text("utf-8")), str(path.name))


def from_certificate(certificate: Certificate, name: str) -> Evidence:
    """The evidence in a certificate; one that proves nothing still says how many labels there were."""
    if not certificate.proven or certificate.risk_bound is None:
        return Evidence(0, 0, f"{name}: nothing is proven at {certificate.tolerance:g}", upper=1.0, share=0.0)
    units = (
        certificate.released
        if certificate.clusters == certificate.labels
        else min(certificate.clusters, certificate.released)
    )
    seen = certificate.risk_seen or 0.0
    return Evidence(
        errors=min(seen * units, units),
        n=units,
        source=(
            f"{name}: proven at most {certificate.risk_bound:.4g}, "
            f"{certificate.confidence:.0%} sure, {certificate.labels:,} labels"
        ),
        upper=certificate.risk_bound,
        confidence=certificate.confidence,
        share=certificate.coverage,
    )


def of_table(person: Person, piece: Piece, tolerance: float) -> Evidence:
    """A labelled table: certified at the task's own tolerance; where that fails, its plain counts."""
    from tolerate.data import tables
    from tolerate.stats.certify.threshold import certify

    path = person.place(piece.table)
    table = tables.read(path, loss=piece.loss, score=piece.score or None, cluster=piece.cluster or None)
    half = 1 - (1 - person.weights.confidence) / 2
    if 0 < tolerance < 1:
        certificate = certify(table, tolerance=tolerance, confidence=half)
        if certificate.proven:
            return from_certificate(certificate, path.name)
    losses = _by_cluster(table.losses, table.clusters)
    return Evidence(
        float(losses.sum()),
        len(losses),
        f"{path.name}: {losses.sum():.4g} wrong of {len(losses):,}, not certified at {tolerance:.3g}",
    )


def _by_cluster(losses: Floats, clusters: NDArray[np.int64] | None) -> Floats:
    """One mean a cluster, since items that share one are not independent."""
    if clusters is None:
        return losses
    sizes = np.bincount(clusters)
    return np.asarray(np.bincount(clusters, weights=losses)[sizes > 0] / sizes[sizes > 0])


def of_run(folder: Path, tolerance: float) -> Evidence:
    """A run of a job of the book: its own certificate, if that is strict enough; else what its map proves."""
    own = folder / "certificate.json"
    if not own.is_file():
        raise DataError(
            f"{folder} holds no certificate.json; expected the folder of a finished run, such as runs/digits"
        )
    evidence = of_certificate(own)
    if evidence.upper is not None and evidence.upper <= tolerance:
        return replace(evidence, source=f"run {folder.name}: {evidence.source}")
    stricter = [row for row in _best(folder) if row["tolerance"] <= tolerance and row["zone"] != "none"]
    if not stricter:
        return replace(evidence, source=f"run {folder.name}: {evidence.source}")
    row = max(stricter, key=lambda each: each["tolerance"])
    proof = row.get("proof") or {}
    return Evidence(
        float(proof.get("wrong", 0)),
        int(proof.get("released", 0)),
        f"run {folder.name}: {row['strategy']} proven at most {row['tolerance']:g} for {row['coverage']:.0%}",
        upper=float(row["tolerance"]),
        confidence=evidence.confidence,
        share=float(row["coverage"]),
    )


def _best(folder: Path) -> list[dict[str, Any]]:
    path = folder / "summary.json"
    if not path.is_file():
        return []
    try:
        return list(json.loads(path.read_text("utf-8")).get("best", []))
    except ValueError:
        raise DataError(f"{path} is damaged; run the same command again with --fresh") from None


def detection(piece: Piece) -> Detection:
    """What seeded errors say of the reviewer."""
    return Detection(piece.caught, piece.seeded)


def work(piece: Piece, person: Person) -> Work:
    """How the task is done, with the person's own shares where they gave them."""
    shares = dict(person.work)
    for name in ("review", "rework", "human_error"):
        value = getattr(piece, name)
        if value is not None:
            shares[name] = value
    assumed = tuple(name for name in ("review", "rework", "human_error") if name not in shares)
    return Work(hours=piece.hours, assumed=assumed, **shares)
