"""The sections that state the result: the figures at a glance, the tolerance map, the certificate and the proof."""

from collections.abc import Callable, Sequence

from tolerate.base.json_types import JsonObject
from tolerate.messages.both import Both, both, join
from tolerate.messages.catalogue import in_both
from tolerate.messages.numbers import at_least, at_most, digits, money, percent, score_from
from tolerate.messages.report import family_name, say
from tolerate.records import Message
from tolerate.report import tolerance_map
from tolerate.report.charts import proof_plot, proofs, verdict
from tolerate.report.json_reading import object_of
from tolerate.report.section import Section
from tolerate.report.summary import BestPoint, ProofPoint, RunSummary, StrategyPoint, StrategyResult
from tolerate.report.tolerance_map import (
    best_at_job_tolerance,
    best_points,
    job_tolerance,
    strategy_name,
    style,
    zone_of,
    zone_runs,
)

# At a glance


def job_title(summary: RunSummary) -> Both:
    """The title of the job, or its name."""
    return both(summary.job.title or summary.job.name or "tolerate")


def glance_section(summary: RunSummary) -> Section | None:
    """Four figures: what was promised, how much is released, what happened, what it costs."""
    best = best_at_job_tolerance(summary)
    if best is None:
        return None
    figures = (_promised(summary, best), _released(summary, best), _observed(best), _cost(summary, best))
    return {"figures": [figure for figure in figures if figure]}


def _figure(value: Both | str, key: str, note: Both | None = None) -> Section:
    return {"value": both(value), "what": say(key), "note": note}


def _promised(summary: RunSummary, best: BestPoint) -> Section:
    confidence = summary.job.confidence
    note = None if confidence is None else say("glance.promise.note", confidence=at_least(confidence))
    promise = say("glance.promise.figure", tolerance=at_most(best.tolerance))
    return _figure(promise, "glance.promise", note)


def _released(summary: RunSummary, best: BestPoint) -> Section:
    if zone_of(best) == "none":
        note = say("glance.released.nothing")
    else:
        note = say("glance.released.note", strategy=strategy_name(summary, best.strategy))
    return _figure(percent(best.coverage), "glance.released", note)


def _observed(best: BestPoint) -> Section | None:
    proof = best.proof if isinstance(best, ProofPoint) else None
    if proof is None or not proof.released or proof.risk is None:
        return None
    note = say("glance.seen.note", wrong=digits(proof.wrong), released=digits(proof.released, 6))
    return _figure(percent(proof.risk), "glance.seen", note)


def _cost(summary: RunSummary, best: BestPoint) -> Section | None:
    if best.cost is None:
        return None
    people = tolerance_map.people_cost(summary)
    note = say("glance.cost.note", share=percent(best.cost / people)) if people else say("glance.cost.plain")
    return _figure(money(best.cost, summary.job.unit), "glance.cost", note)


# The map


def map_section(summary: RunSummary) -> Section | None:
    """The map in two sizes, its key, the sentence below it and its table."""
    picture = tolerance_map.draw_map(summary)
    if picture is None:
        return None
    names = tolerance_map.families(summary)
    zones = {zone for zone, _ in zone_runs(summary)}
    return {
        "wide": picture,
        "narrow": tolerance_map.draw_map(summary, narrow=True),
        "families": [{"name": family_name(name), "style": style(names, name)} for name in names],
        "wins": [
            {
                "name": strategy_name(summary, strategy.id),
                "span": _span(points),
                "colour": style(names, tolerance_map.family_of(strategy))[0],
            }
            for strategy, points in tolerance_map.winning_stretches(summary)
        ],
        "zones": [(zone, say(f"zone.{zone}")) for zone in tolerance_map.ZONES if zone in zones],
        "sentence": map_sentence(summary),
        "rows": [_map_row(summary, best) for best in best_points(summary)],
        "strategies": [_strategy_row(summary, strategy) for strategy in summary.strategies],
        "all_strategies": say("all.strategies", n=len(summary.strategies)),
        "at_tolerance": say("best.at", tolerance=at_most(job_tolerance(summary))),
    }


def map_sentence(summary: RunSummary) -> Both:
    """The map in one sentence, from the most tolerant to the strictest zone."""
    phrases = [_zone_phrase(zone, points) for zone, points in zone_runs(summary)]
    return say("map.sentence", zones=join(phrases))


def _zone_phrase(zone: str, points: Sequence[BestPoint]) -> Both:
    shares = sorted(best.coverage for best in points if best.coverage is not None)
    ends = [percent(share) for share in shares[:1] + shares[-1:]]
    return say(f"zones.{zone}", span=_span(points), coverage="–".join(dict.fromkeys(ends)))


def _span(points: Sequence[BestPoint]) -> Both:
    high, low = at_most(points[0].tolerance), at_most(points[-1].tolerance)
    return say("zones.one", high=high) if len(points) == 1 else say("zones.span", high=high, low=low)


def _map_row(summary: RunSummary, best: BestPoint) -> Section:
    zone = zone_of(best)
    return {
        "tolerance": at_most(best.tolerance),
        "strategy": say("nobody") if zone == "none" else strategy_name(summary, best.strategy),
        "coverage": percent(best.coverage),
        "share": best.coverage or 0.0,
        "threshold": say("scope.all") if best.scope == "all" else both(score_from(best.threshold)),
        "cost": money(best.cost, summary.job.unit),
        "zone": zone,
        "zone_name": say(f"zone.{zone}"),
        "own": best.tolerance == job_tolerance(summary),
    }


def _strategy_row(summary: RunSummary, strategy: StrategyResult) -> Section:
    tolerance = job_tolerance(summary)
    points = tolerance_map.usable_points(strategy)
    point_at_job = next((point for point in points if point.tolerance == tolerance), StrategyPoint(0.0))
    return {
        "name": strategy_name(summary, strategy.id),
        "family": family_name(tolerance_map.family_of(strategy)),
        "candidates": digits(strategy.candidates),
        "compute": digits(strategy.compute_seconds, 2),
        "labels": digits(strategy.labels, 6),
        "risk": percent(strategy.risk),
        "coverage": percent(point_at_job.coverage),
        "cost": money(point_at_job.cost, summary.job.unit),
    }


# Certificate and proof


def _count(value: object) -> str:
    return digits(value, 6)


CERTIFICATE_FACTS: dict[str, tuple[str, Callable[[object], str]]] = {  # field -> message key, format
    "tolerance": ("tolerance", at_most),
    "confidence": ("confidence", at_least),
    "coverage": ("coverage", percent),
    "threshold": ("threshold", score_from),
    "risk_bound": ("bound", at_most),
    "risk_seen": ("seen", percent),
    "labels": ("labels", _count),
    "clusters": ("clusters", _count),
    "method": ("method", str),
    "losses_by": ("by", str),
    "data_sha256": ("data", str),
}


def certificate_section(summary: RunSummary) -> Section | None:
    """The certificate of the job in words, with its figures."""
    certificate = summary.certificate
    if certificate is None or not (certificate.sentence or certificate.record):
        return None
    return {
        "brief": both(certificate.brief) if certificate.brief else None,
        "sentence": both(certificate.sentence),
        "facts": certificate_facts(certificate.record),
        "advice": certificate_sentences(certificate.record, "advice"),
    }


def certificate_facts(record: JsonObject) -> list[tuple[Both, Both | str]]:
    """Name and value of each figure that a certificate's record has."""
    losses_by = Message.from_json(
        str(record.get("losses_by")), object_of(record.get("messages")).get("losses_by")
    )
    return [
        (say(f"certificate.{key}"), in_both(losses_by) if field == "losses_by" else text_of(record[field]))
        for field, (key, text_of) in CERTIFICATE_FACTS.items()
        if record.get(field) not in (None, "")
    ]


def certificate_sentences(record: JsonObject, field: str) -> list[Both]:
    """The sentences of a list in a certificate's record, in Chinese too where their keys are stored."""
    texts, stored = record.get(field), object_of(record.get("messages")).get(field)
    if not isinstance(texts, list | tuple):
        return []
    keys = stored if isinstance(stored, list | tuple) and len(stored) == len(texts) else [None] * len(texts)
    return [in_both(Message.from_json(str(text), key)) for text, key in zip(texts, keys, strict=True)]


def proof_section(summary: RunSummary) -> Section | None:
    """The section that compares the promise with fresh items, for every tolerance."""
    points = proofs(summary)
    if not points:
        return None
    return {
        "wide": proof_plot(summary),
        "narrow": proof_plot(summary, narrow=True),
        "rows": [_proof_row(best) for best in points],
        "sentence": _proof_sentence(summary, points),
    }


def _proof_row(best: ProofPoint) -> Section:
    proof, result = best.proof, verdict(best)
    row = {
        "tolerance": at_most(best.tolerance),
        "requests": digits(proof.requests if proof else None, 6),
        "released": digits(proof.released if proof else None, 6),
        "wrong": "–",
        "risk": "–",
        "interval": "–",
        "verdict": result,
        "verdict_name": say(f"proof.{result}"),
    }
    if proof is None or result == "idle":
        return row
    interval = f"{at_least(proof.low)} – {at_most(proof.high)}"
    return {**row, "wrong": digits(proof.wrong, 6), "risk": percent(proof.risk), "interval": interval}


def _proof_sentence(summary: RunSummary, points: Sequence[ProofPoint]) -> Both:
    verdicts = [verdict(best) for best in points if verdict(best) != "idle"]
    if not verdicts:
        return say("proof.none")
    count = verdicts.count("kept")
    if count == len(verdicts):
        return say("proof.all", n=count)
    confidence = at_least(summary.job.confidence)
    return say("proof.some", kept=count, n=len(verdicts), confidence=confidence)
