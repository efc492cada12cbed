"""The page of the watch: certificates, the evidence against them, traffic, alarms, history, what if."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

from tolerate.errors import OptionError
from tolerate.messages.catalogue import message, render
from tolerate.messages.watch import alarm_sentence
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, TierSettings
from tolerate.service.decide import binding
from tolerate.service.desk import charts
from tolerate.service.desk.app import ServiceDesk
from tolerate.service.desk.pages import PageTable, Response, Visit, redirect_to
from tolerate.service.openai_format import ApiError
from tolerate.service.watch.evidence import evidence_columns, next_certificates
from tolerate.service.watch.overview import TierOverview, overview
from tolerate.store import Database, certificates

WHAT_IF_TOLERANCES = (0.01, 0.02, 0.05, 0.1, 0.2)


async def watch(desk: ServiceDesk, visit: Visit) -> Response:
    """The page of a job's watch."""
    job = _job(desk, visit)
    now = time.time()
    about = await desk.reader.query(overview, job, now)
    tier = _tier(job, visit.request.query.get("tier", ""))
    what_if = await _what_if(desk, visit, job, tier) if visit.request.query.get("if", "") else None
    steps = {line["tier"]: await _next_steps(desk, job, line, about["mended"]) for line in about["tiers"]}
    return desk.page(
        "watch.html",
        visit,
        job=job,
        steps=steps,
        why=_alarm_texts(visit.user.lang, about["alarms"]),
        about=about,
        chart=charts,
        when=format_time,
        what_if=what_if,
        chosen=tier.name,
        demo=desk.running.demo,
        names=binding.NAMES,
    )


def _alarm_texts(lang: str, alarms: Sequence[Mapping[str, object]]) -> Callable[[str | None], str]:
    """A function that translates the English text of an alarm, as stored, into the reader's language."""
    sentences = {str(alarm["why"]): alarm_sentence(alarm) for alarm in alarms if "why" in alarm}
    return lambda text: render(sentences.get(text or "", text or ""), lang)


class NextSteps(TypedDict):
    """Reviews since a certificate ended, or since the job was mended. needed: the least number that can prove one."""

    drawn: int
    reviewed: int
    needed: int
    since: float
    mended: bool
    tolerance: float


class WhatIf(TypedDict):
    """Certificates that today's evidence gives, each with its id if it is proven. missing: drawn, not reviewed."""

    lines: list[tuple[Certificate, str | None]]
    any: bool
    labels: int
    missing: int
    since: str


async def _next_steps(
    desk: ServiceDesk, job: JobSettings, tier: TierOverview, mended: float
) -> NextSteps | None:
    """Progress to the next certificate after one was withdrawn or void; None if it is in force."""
    certificate = tier["certificate"]
    ended = certificate and certificate["ended"]
    if certificate is None or not ended or tier["state"] not in ("WITHDRAWN", "VOID"):
        return None
    since = max(ended, mended)
    columns = await desk.reader.query(evidence_columns, job.name, tier["tier"], since)
    drawn, missing = len(columns.losses), sum(columns.missing)
    body = certificate["body"]
    needed = math.log(1 - body["confidence"]) / math.log1p(-body["tolerance"] * (job.second or 1.0))
    return {
        "drawn": drawn,
        "reviewed": drawn - missing,
        "needed": math.ceil(needed),
        "since": since,
        "mended": mended > ended,
        "tolerance": body["tolerance"],
    }


async def _what_if(desk: ServiceDesk, visit: Visit, job: JobSettings, tier: TierSettings) -> WhatIf:
    """The certificates that today's evidence gives; proven ones are stored as proposed."""
    since = _number(visit.request.query.get("since", "0"), "since")
    columns = await desk.reader.query(evidence_columns, job.name, tier.name, since)
    text = visit.request.query.get("tolerance", "")
    last = await _last_tolerance(desk, job, tier)
    tolerances = [_share(text)] if text.strip() else sorted({*WHAT_IF_TOLERANCES, *last})
    confidence = 0.95
    proposed = await next_certificates(columns, tolerances, confidence)
    now = time.time()
    ids = [
        await desk.writer.do(_propose, job, tier, certificate, visit.user.name, now)
        if certificate.proven
        else None
        for certificate in proposed
    ]
    return {
        "lines": list(zip(proposed, ids, strict=True)),
        "any": any(ids),
        "labels": len(columns.losses),
        "missing": sum(columns.missing),
        "since": format_time(since),
    }


async def _last_tolerance(desk: ServiceDesk, job: JobSettings, tier: TierSettings) -> list[float]:
    """The tolerance of the tier's newest certificate; [] if it never had one."""
    history = await desk.reader.query(certificates.history, job.name)
    of_tier = [stored for stored in history if stored.tier == tier.name and stored.status != "proposed"]
    return [of_tier[0].certificate.tolerance] if of_tier else []


def _propose(
    db: Database, job: JobSettings, tier: TierSettings, certificate: Certificate, by: str, now: float
) -> str:
    bound = binding.current_binding(job, tier, certificate)
    return certificates.propose(db, job.name, tier.name, certificate, bound, by, now)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise OptionError(f'{name} is "{text[:20]}"; expected a number') from None


def _share(text: str) -> float:
    text = text.strip()
    value = _number(text.removesuffix("%"), "the tolerance") / (100 if text.endswith("%") else 1)
    if not 0 < value < 1:
        raise OptionError(f'the tolerance is "{text[:20]}"; write a share such as 2% or 0.02')
    return value


async def withdraw(desk: ServiceDesk, visit: Visit) -> Response:
    """Withdraw the job's certificates at once."""
    job = _job(desk, visit)
    why = visit.form.get("why", "").strip()[:500] or message("withdrawn.no_reason")
    if await desk.writer.do(_withdraw, job.name, visit.user.name, why):
        desk.running.report_alarm({"kind": "withdrawn", "job": job.name, "by": visit.user.name, "why": why})
    await desk.running.reload_certificates()
    return redirect_to(f"/desk/watch/{job.name}")


def _withdraw(db: Database, job: str, by: str, why: str) -> bool:
    now = time.time()
    withdrawn = certificates.withdraw(db, job, None, by, why, now)
    if withdrawn:
        certificates.add_alarm(db, job, "withdrawn", now, {"by": by, "why": why})
    return bool(withdrawn)


async def adopt(desk: ServiceDesk, visit: Visit) -> Response:
    """Put a proposed certificate in force."""
    job = _job(desk, visit)
    tier = _tier(job, visit.form.get("tier", ""))
    await desk.running.install_certificate(job, tier, visit.form.get("id", "")[:80], visit.user.name)
    return redirect_to(f"/desk/watch/{job.name}")


async def mark_mended(desk: ServiceDesk, visit: Visit) -> Response:
    """Mark the job as mended: the evidence for the next certificate begins now."""
    job = _job(desk, visit)
    await desk.writer.do(certificates.mark_mended, job.name, visit.user.name, time.time())
    return redirect_to(f"/desk/watch/{job.name}")


async def end_restriction(desk: ServiceDesk, visit: Visit) -> Response:
    """End DEGRADED, or the hold of a slice, by the user's decision."""
    job = _job(desk, visit)
    tier = _tier(job, visit.form.get("tier", ""))
    why = visit.form.get("why", "").strip()[:500]
    if not why:
        raise OptionError("give a reason why this is fine; it is written to the ledger")
    await desk.running.end_restriction(job, tier.name, visit.form.get("slice", "")[:64], visit.user.name, why)
    return redirect_to(f"/desk/watch/{job.name}")


def _job(desk: ServiceDesk, visit: Visit) -> JobSettings:
    name = visit.rest[0] if visit.rest else desk.service.jobs[0].name
    job = desk.service.job(name)
    if job is None:
        raise ApiError(404, "there is no such job")
    return job


def _tier(job: JobSettings, name: str) -> TierSettings:
    return next((tier for tier in job.tiers if tier.name == name), job.tiers[0])


def format_time(seconds: float | None) -> str:
    """A time in UTC, from seconds since 1970; a dash for None and 0."""
    if not seconds:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


async def control_demo(desk: ServiceDesk, visit: Visit) -> Response:
    """The controls of the demonstration: a worse model, other questions."""
    controls, way = desk.running.demo, visit.form.get("way")
    if controls is None:
        raise ApiError(404, "this service is not a demonstration")
    if way in ("other", "same"):
        await controls.set_other_questions(way == "other")
    else:
        await controls.set_worse(way == "worse")
    return redirect_to(f"/desk/watch/{desk.service.jobs[0].name}")


PAGES: PageTable[ServiceDesk] = {
    ("GET", "watch"): ("see", watch),
    ("POST", "withdraw"): ("promise", withdraw),
    ("POST", "adopt"): ("promise", adopt),
    ("POST", "ease"): ("promise", end_restriction),
    ("POST", "mended"): ("promise", mark_mended),
    ("POST", "demo"): ("promise", control_demo),
}
