"""The evidence of a task's error rate: a certificate, a labelled table, a run, or numbers typed in with their n.

Nothing else is accepted: an exposure index, a benchmark or an impression is not an error rate.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.model.choice import Detection, ManualWork, TaskEvidence
from tolerate.careers.model.severity import share_that_matters
from tolerate.careers.person.me import Person, PersonTask
from tolerate.careers.planning.advice import strictest_proof
from tolerate.errors import DataError
from tolerate.records import Certificate, Floats
from tolerate.report.results import ProofPoint, ProofResult
from tolerate.report.summary import RunSummary, as_summary


def task_evidence(
    task: PersonTask, person: Person, tolerance: float, exactness: float | None
) -> TaskEvidence | None:
    """The measured error of a task, or None. tolerance: the one that a table is certified for."""
    if task.errors is not None and task.checked is not None:
        matter = share_that_matters(task.exactness or exactness) if task.raw else 1.0
        return TaskEvidence(
            task.errors, task.checked, f"typed in: {task.errors:g} wrong of {task.checked}", matter=matter
        )
    if task.certificate:
        return read_certificate_evidence(person.path_of(task.certificate))
    if task.table:
        return table_evidence(person, task, tolerance)
    return run_evidence(person.path_of(task.run), tolerance) if task.run else None


def read_certificate_evidence(path: Path) -> TaskEvidence:
    """The evidence in a certificate of `tolerate certify` or `audit` on the part that it releases."""
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; expected a certificate: tolerate certify ... --out {path.name}"
        )
    return certificate_evidence(Certificate.loads(path.read_text("utf-8")), str(path.name))


def certificate_evidence(certificate: Certificate, name: str) -> TaskEvidence:
    """The evidence in a certificate. name: of its file; one that proves nothing releases nothing."""
    if not certificate.proven or certificate.risk_bound is None:
        return TaskEvidence(
            0, 0, f"{name}: nothing is proven at {certificate.tolerance:g}", upper=1.0, share=0.0
        )
    units = (
        certificate.released
        if certificate.clusters == certificate.labels
        else min(certificate.clusters, certificate.released)
    )
    risk = certificate.risk_seen or 0.0
    return TaskEvidence(
        errors=min(risk * units, units),
        n=units,
        source=(
            f"{name}: proven at most {certificate.risk_bound:.4g}, "
            f"{certificate.confidence:.0%} sure, {certificate.labels:,} labels"
        ),
        upper=certificate.risk_bound,
        confidence=certificate.confidence,
        share=certificate.coverage,
    )


def table_evidence(person: Person, task: PersonTask, tolerance: float) -> TaskEvidence:
    """The evidence in a labelled table at the task's own tolerance; if nothing is proven, its plain counts."""
    from tolerate.data import tables
    from tolerate.stats.certify.threshold import certify

    path = person.path_of(task.table)
    table = tables.read(path, loss=task.loss, score=task.score or None, cluster=task.cluster or None)
    half = 1 - (1 - person.weights.confidence) / 2
    if 0 < tolerance < 1:
        certificate = certify(table, tolerance=tolerance, confidence=half)
        if certificate.proven:
            return certificate_evidence(certificate, path.name)
    losses = _cluster_means(table.losses, table.clusters)
    return TaskEvidence(
        float(losses.sum()),
        len(losses),
        f"{path.name}: {losses.sum():.4g} wrong of {len(losses):,}, not certified at {tolerance:.3g}",
    )


def _cluster_means(losses: Floats, clusters: NDArray[np.int64] | None) -> Floats:
    """[clusters] mean losses, since items that share a cluster are not independent."""
    if clusters is None:
        return losses
    sizes = np.bincount(clusters)
    return np.asarray(np.bincount(clusters, weights=losses)[sizes > 0] / sizes[sizes > 0])


def run_evidence(folder: Path, tolerance: float) -> TaskEvidence:
    """The evidence in a run of a job: its certificate, if that is strict enough; else its tolerance map."""
    path = folder / "certificate.json"
    if not path.is_file():
        raise DataError(
            f"{folder} holds no certificate.json; expected the folder of a finished run, such as runs/digits"
        )
    evidence = read_certificate_evidence(path)
    certified = evidence.upper is not None and evidence.upper <= tolerance
    best = None if certified else strictest_proof(_read_summary(folder), tolerance)
    if best is None:
        return replace(evidence, source=f"run {folder.name}: {evidence.source}")
    proof = (best.proof if isinstance(best, ProofPoint) else None) or ProofResult()
    coverage = best.coverage or 0.0
    return TaskEvidence(
        float(proof.wrong or 0),
        int(proof.released or 0),
        f"run {folder.name}: {best.strategy} proven at most {best.tolerance:g} for {coverage:.0%}",
        upper=best.tolerance,
        confidence=evidence.confidence,
        share=coverage,
    )


def _read_summary(folder: Path) -> RunSummary:
    """The summary of a run; an empty one if its file is missing."""
    path = folder / "summary.json"
    if not path.is_file():
        return RunSummary()
    try:
        return as_summary(json.loads(path.read_text("utf-8")))
    except (ValueError, AttributeError):
        raise DataError(f"{path} is damaged; run the same command again with --fresh") from None


def task_detection(task: PersonTask) -> Detection:
    """The seeded errors that the reviewer was given, and caught."""
    return Detection(task.caught, task.seeded)


def manual_work(task: PersonTask, person: Person) -> ManualWork:
    """Hours and errors of the task done by hand, with the person's own shares where they are known."""
    shares = {"review": task.review, "rework": task.rework, "human_error": task.human_error}
    answered = dict(person.work) | {name: share for name, share in shares.items() if share is not None}
    assumed = tuple(name for name in shares if name not in answered)
    return ManualWork(hours=task.hours, assumed=assumed, **answered)
