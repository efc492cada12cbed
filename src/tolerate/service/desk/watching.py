"""The watch's page: the promise, the evidence against it, what flows, alarms, history, what if."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tolerate.errors import OptionError
from tolerate.messages.catalogue import message, render
from tolerate.messages.watch import alarm_sentence
from tolerate.records import Certificate
from tolerate.service.config import JobSettings, TierSettings
from tolerate.service.decide import binding
from tolerate.service.desk import charts
from tolerate.service.openai_format import ApiError
from tolerate.service.watch.evidence import evidence_columns, next_certificates
from tolerate.service.watch.overview import TierOverview, overview
from tolerate.store import Database, certificates

if TYPE_CHECKING:
    from tolerate.service.desk import Desk, Page, Response, Visit

OTHERS = (0.01, 0.02, 0.05, 0.1, 0.2)


async def watch(desk: "Desk", visit: "Visit") -> "Response":
    """A job's watch."""
    job = _job(desk, visit)
    now = time.time()
    about = await desk.reader.query(overview, job, now)
    tier = _tier(job, visit.request.query.get("tier", ""))
    asked = visit.request.query.get("if", "")
    found = await _what_if(desk, visit, job, tier) if asked else None
    steps = {each["tier"]: await _next_steps(desk, job, each, about["mended"]) for each in about["tiers"]}
    return desk.page(
        "watch.html",
        visit,
        job=job,
        steps=steps,
        why=_in_words(visit.user.lang, about["alarms"]),
        about=about,
        chart=charts,
        when=when,
        what_if=found,
        chosen=tier.name,
        demo=desk.running.demo,
        names=binding.NAMES,
    )


def _in_words(lang: str, alarms: Sequence[Mapping[str, Any]]) -> Callable[[str | None], str]:
    """What turns the text of an alarm, as it stands in the ledger, into the reader's language."""
    sentences = {alarm["why"]: alarm_sentence(alarm) for alarm in alarms if "why" in alarm}
    return lambda text: render(sentences.get(text or "", text or ""), lang)


async def _next_steps(
    desk: "Desk", job: JobSettings, tier: TierOverview, mended: float
) -> dict[str, Any] | None:
    """After a certificate ended: reviews since then, or since it was mended, and how many it takes at the least."""
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


async def _what_if(desk: "Desk", visit: "Visit", job: JobSettings, tier: TierSettings) -> dict[str, Any]:
    """The certificates that today's evidence gives."""
    since = _number(visit.request.query.get("since", "0"), "since")
    columns = await desk.reader.query(evidence_columns, job.name, tier.name, since)
    asked = visit.request.query.get("tolerance", "")
    tolerances = [_share(asked)] if asked.strip() else sorted({*OTHERS, *await _promised(desk, job, tier)})
    confidence = 0.95
    made = await next_certificates(columns, tolerances, confidence)
    now = time.time()
    ids = [
        await desk.writer.do(_propose, job, tier, certificate, visit.user.name, now)
        if certificate.proven
        else None
        for certificate in made
    ]
    return {
        "lines": list(zip(made, ids, strict=True)),
        "any": any(ids),
        "labels": len(columns.losses),
        "missing": sum(columns.missing),
        "since": when(since),
    }


async def _promised(desk: "Desk", job: JobSettings, tier: TierSettings) -> list[float]:
    """The tolerance that was promised last, if any was."""
    found = await desk.reader.query(certificates.history, job.name)
    mine = [each for each in found if each.tier == tier.name and each.status != "proposed"]
    return [mine[0].certificate.tolerance] if mine else []


def _propose(
    db: Database, job: JobSettings, tier: TierSettings, certificate: Certificate, by: str, at: float
) -> str:
    bound = binding.current_binding(job, tier, certificate)
    return certificates.propose(db, job.name, tier.name, certificate, bound, by, at)


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


async def withdraw(desk: "Desk", visit: "Visit") -> "Response":
    """Take the job's promises back, at once."""
    from tolerate.service.desk import go

    job = _job(desk, visit)
    why = visit.form.get("why", "").strip()[:500] or message("withdrawn.no_reason")
    if await desk.writer.do(_withdraw, job.name, visit.user.name, why):
        desk.running.report_alarm({"kind": "withdrawn", "job": job.name, "by": visit.user.name, "why": why})
    await desk.running.reload_certificates()
    return go(f"/desk/watch/{job.name}")


def _withdraw(db: Database, job: str, by: str, why: str) -> bool:
    at = time.time()
    gone = certificates.withdraw(db, job, None, by, why, at)
    if gone:
        certificates.add_alarm(db, job, "withdrawn", at, {"by": by, "why": why})
    return bool(gone)


async def adopt(desk: "Desk", visit: "Visit") -> "Response":
    """Put a proposed certificate in force."""
    from tolerate.service.desk import go

    job = _job(desk, visit)
    tier = _tier(job, visit.form.get("tier", ""))
    await desk.running.install_certificate(job, tier, visit.form.get("id", "")[:80], visit.user.name)
    return go(f"/desk/watch/{job.name}")


async def mended(desk: "Desk", visit: "Visit") -> "Response":
    """It is mended: the evidence for the next certificate begins now."""
    from tolerate.service.desk import go

    job = _job(desk, visit)
    await desk.writer.do(certificates.mark_mended, job.name, visit.user.name, time.time())
    return go(f"/desk/watch/{job.name}")


async def ease(desk: "Desk", visit: "Visit") -> "Response":
    """DEGRADED, or the hold of a slice, is over, by a person's decision."""
    from tolerate.service.desk import go

    job = _job(desk, visit)
    tier = _tier(job, visit.form.get("tier", ""))
    why = visit.form.get("why", "").strip()[:500]
    if not why:
        raise OptionError("say why this is fine; it stands in the ledger")
    await desk.running.end_restriction(job, tier.name, visit.form.get("slice", "")[:64], visit.user.name, why)
    return go(f"/desk/watch/{job.name}")


def _job(desk: "Desk", visit: "Visit") -> JobSettings:
    name = visit.rest[0] if visit.rest else desk.service.jobs[0].name
    job = desk.service.job(name)
    if job is None:
        raise ApiError(404, "there is no such job")
    return job


def _tier(job: JobSettings, name: str) -> TierSettings:
    return next((tier for tier in job.tiers if tier.name == name), job.tiers[0])


def when(at: float | None) -> str:
    """A time as it is shown, UTC; the beginning of time is a dash."""
    if not at:
        return "–"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


PAGES: "dict[tuple[str, str], tuple[str, Page]]" = {
    ("GET", "watch"): ("see", watch),
    ("POST", "withdraw"): ("promise", withdraw),
    ("POST", "adopt"): ("promise", adopt),
    ("POST", "ease"): ("promise", ease),
    ("POST", "mended"): ("promise", mended),
}
