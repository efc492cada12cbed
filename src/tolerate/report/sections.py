"""What each part of a report says: one function a part, from the run's summary to what the template shows.

A part whose data is missing is None, and the page leaves it out.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tolerate.messages.certificates import chinese
from tolerate.messages.report import (
    WORDS,
    Both,
    both,
    digits,
    duration,
    family_name,
    is_number,
    join,
    money,
    percent,
    say,
    say_of,
    threshold,
)
from tolerate.report import calibration, charts, map
from tolerate.report.charts import proofs, verdict
from tolerate.report.map import (
    Summary,
    best_points,
    job_tolerance,
    strategy_name,
    style,
    unit,
    zone_of,
    zone_runs,
)

Section = dict[str, Any]

PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*")
SHEET_BYTES = 330_000  # of drawings in a page, all sheets together
SHEETS = ("released", "held", "wrong", "copies")


def sections(summary: Summary) -> dict[str, Section]:
    """Every part of the page that there is data for, in the page's order."""
    made = {name: make(summary) for name, make in PARTS.items()}
    return {name: part for name, part in made.items() if part}


# At a glance


def title(summary: Summary) -> Both:
    """The title of the job, or its name."""
    job = summary.get("job") or {}
    return both(job.get("title") or job.get("name") or "tolerate")


def job_best(summary: Summary) -> dict[str, Any] | None:
    """The cheapest way at the job's own tolerance."""
    wanted = job_tolerance(summary)
    return next((b for b in best_points(summary) if b["tolerance"] == wanted), None)


def glance(summary: Summary) -> Section | None:
    """Four figures: what was promised, how much of it goes out, what happened, what it costs."""
    best = job_best(summary)
    if best is None:
        return None
    figures = (_promised(summary, best), _released(summary, best), _seen(best), _cost(summary, best))
    return {"figures": [figure for figure in figures if figure]}


def _figure(value: Any, what: str, note: Both | None = None) -> Section:
    return {"value": both(value), "what": say(what), "note": note}


def _promised(summary: Summary, best: Mapping[str, Any]) -> Section:
    confidence = (summary.get("job") or {}).get("confidence")
    note = say("glance.promise.note", confidence=percent(confidence)) if is_number(confidence) else None
    return _figure(say("glance.promise.figure", tolerance=percent(best["tolerance"])), "glance.promise", note)


def _released(summary: Summary, best: Mapping[str, Any]) -> Section:
    name = strategy_name(summary, best.get("strategy"))
    nothing = zone_of(best) == "none"
    note = say("glance.released.nothing") if nothing else say("glance.released.note", strategy=name)
    return _figure(percent(best.get("coverage")), "glance.released", note)


def _seen(best: Mapping[str, Any]) -> Section | None:
    proof = best.get("proof") or {}
    if not proof.get("released") or not is_number(proof.get("risk")):
        return None
    note = say("glance.seen.note", wrong=digits(proof.get("wrong")), released=digits(proof["released"], 6))
    return _figure(percent(proof["risk"]), "glance.seen", note)


def _cost(summary: Summary, best: Mapping[str, Any]) -> Section | None:
    if not is_number(best.get("cost")):
        return None
    people = map.people_cost(summary)
    share = (
        say("glance.cost.note", share=percent(best["cost"] / people)) if people else say("glance.cost.plain")
    )
    return _figure(money(best["cost"], unit(summary)), "glance.cost", share)


# The map


def tolerance_map(summary: Summary) -> Section | None:
    """The map in two sizes, its key, the sentence below it and its table."""
    picture = map.tolerance_map(summary)
    if picture is None:
        return None
    names = map.families(summary)
    return {
        "wide": picture,
        "narrow": map.tolerance_map(summary, narrow=True),
        "families": [{"name": family_name(name), "style": style(names, name)} for name in names],
        "wins": [_win(summary, strategy, run, names) for strategy, run in map.wins(summary)],
        "zones": [(zone, say(f"zone.{zone}")) for zone in map.ZONES if zone in dict(zone_runs(summary))],
        "sentence": map_sentence(summary),
        "rows": [_map_row(summary, best) for best in best_points(summary)],
        "strategies": _strategy_rows(summary),
        "all_strategies": say("all.strategies", n=len(summary["strategies"])),
        "at_tolerance": say("best.at", tolerance=percent(job_tolerance(summary))),
    }


def _win(
    summary: Summary, strategy: Mapping[str, Any], run: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Section:
    """One line of the key that a phone shows instead of names in the picture."""
    return {
        "name": strategy_name(summary, strategy.get("id")),
        "span": _span(run),
        "colour": style(names, map.family_of(strategy))[0],
    }


def map_sentence(summary: Summary) -> Both:
    """The map in one plain sentence, from the most tolerant to the strictest."""
    return say("map.sentence", zones=join([_zone_said(zone, run) for zone, run in zone_runs(summary)]))


def _zone_said(zone: str, run: Sequence[Mapping[str, Any]]) -> Both:
    shares = sorted(float(b["coverage"]) for b in run if is_number(b.get("coverage")))
    ends = [percent(share) for share in shares[:1] + shares[-1:]]
    return say(f"zones.{zone}", span=_span(run), coverage="–".join(dict.fromkeys(ends)))


def _span(run: Sequence[Mapping[str, Any]]) -> Both:
    high, low = percent(run[0]["tolerance"]), percent(run[-1]["tolerance"])
    return say("zones.one", high=high) if len(run) == 1 else say("zones.span", high=high, low=low)


def _map_row(summary: Summary, best: Mapping[str, Any]) -> Section:
    zone = zone_of(best)
    name = say("nobody") if zone == "none" else strategy_name(summary, best.get("strategy"))
    return {
        "tolerance": percent(best["tolerance"]),
        "strategy": name,
        "coverage": percent(best.get("coverage")),
        "share": float(best["coverage"]) if is_number(best.get("coverage")) else 0.0,
        "threshold": say("scope.all")
        if best.get("scope") == "all"
        else both(threshold(best.get("threshold"))),
        "cost": money(best.get("cost"), unit(summary)),
        "zone": zone,
        "zone_name": say(f"zone.{zone}"),
        "own": best["tolerance"] == job_tolerance(summary),
    }


def _strategy_rows(summary: Summary) -> list[Section]:
    return [_strategy_row(summary, s) for s in summary.get("strategies") or []]


def _strategy_row(summary: Summary, strategy: Mapping[str, Any]) -> Section:
    wanted = job_tolerance(summary)
    here = next((p for p in map.usable_points(strategy) if p["tolerance"] == wanted), {})
    return {
        "name": strategy_name(summary, strategy.get("id")),
        "family": family_name(map.family_of(strategy)),
        "candidates": digits(strategy.get("candidates")),
        "compute": digits(strategy.get("compute_seconds"), 2),
        "labels": digits(strategy.get("labels"), 6),
        "risk": percent(strategy.get("risk")),
        "coverage": percent(here.get("coverage")),
        "cost": money(here.get("cost"), unit(summary)),
    }


# Certificate and proof

CERTIFICATE_FACTS: dict[str, Callable[[Any], str]] = {
    "tolerance": percent,
    "confidence": percent,
    "coverage": percent,
    "threshold": threshold,
    "risk_bound": percent,
    "risk_seen": percent,
    "labels": lambda n: digits(n, 6),
    "clusters": lambda n: digits(n, 6),
    "method": str,
    "losses_by": str,
    "data_sha256": str,
}
FACT_WORDS = {"risk_bound": "bound", "risk_seen": "seen", "losses_by": "by", "data_sha256": "data"}


def certificate(summary: Summary) -> Section | None:
    """The certificate of the job in words, with its figures."""
    given = summary.get("certificate") or {}
    record = given.get("json") or {}
    if not given.get("sentence") and not record:
        return None
    return {
        "brief": both(given.get("brief")) if given.get("brief") else None,
        "sentence": both(given.get("sentence")),
        "facts": certificate_facts(record),
        "advice": [both(text) for text in record.get("advice") or []],
    }


def certificate_facts(record: Mapping[str, Any]) -> list[tuple[Both, str]]:
    """The figures of a certificate that are there, named."""
    return [
        (say(f"certificate.{FACT_WORDS.get(key, key)}"), written(record[key]))
        for key, written in CERTIFICATE_FACTS.items()
        if record.get(key) not in (None, "")
    ]


def proof(summary: Summary) -> Section | None:
    """What was promised next to what happened, for every tolerance."""
    rows = proofs(summary)
    if not rows:
        return None
    return {
        "wide": charts.proof_plot(summary),
        "narrow": charts.proof_plot(summary, narrow=True),
        "rows": [_proof_row(best) for best in rows],
        "sentence": _proof_sentence(summary, rows),
    }


def _proof_row(best: Mapping[str, Any]) -> Section:
    given, found = best["proof"] or {}, verdict(best)
    idle = found == "idle"
    return {
        "tolerance": percent(best["tolerance"]),
        "requests": digits(given.get("requests"), 6),
        "released": digits(given.get("released"), 6),
        "wrong": "–" if idle else digits(given.get("wrong"), 6),
        "risk": "–" if idle else percent(given.get("risk")),
        "interval": "–" if idle else f"{percent(given.get('low'))} – {percent(given.get('high'))}",
        "verdict": found,
        "said": say(f"proof.{found}"),
    }


def _proof_sentence(summary: Summary, rows: Sequence[Mapping[str, Any]]) -> Both:
    found = [verdict(best) for best in rows if verdict(best) != "idle"]
    if not found:
        return say("proof.none")
    kept, confidence = found.count("kept"), (summary.get("job") or {}).get("confidence")
    if kept == len(found):
        return say("proof.all", n=kept)
    return say("proof.some", kept=kept, n=len(found), confidence=percent(confidence))


# Drawings


def sheets(summary: Summary) -> Section | None:
    """The sheets of drawings, as many of each as the page has room for."""
    given = summary.get("sheets") or {}
    safe = {
        name: [d for d in given.get(name) or [] if safe_picture(d.get("png")) or safe_text(d.get("pieces"))]
        for name in SHEETS
    }
    shown = fitting(safe, SHEET_BYTES)
    parts = [_sheet(name, shown[name], len(safe[name]), kind(summary)) for name in SHEETS if shown[name]]
    return {"parts": parts} if parts else None


def safe_picture(source: Any) -> bool:
    """Whether a picture from outside is embedded data and nothing else; all others are left out.

    >>> safe_picture("data:image/png;base64,iVBORw0KGgo="), safe_picture("//example.org/x.png")
    (True, False)
    """
    return isinstance(source, str) and PICTURE.fullmatch(source) is not None


def safe_text(pieces: Any) -> bool:
    """Whether a text from outside is what a page can show: pieces, each with whether it is a wrong part.

    >>> safe_text([["fine ", False], ["wrong", True]]), safe_text("fine")
    (True, False)
    """
    return isinstance(pieces, list) and all(
        isinstance(piece, list | tuple) and len(piece) == 2 and isinstance(piece[0], str) for piece in pieces
    )


def kind(summary: Summary) -> str:
    """What the job makes: pictures or texts."""
    return str((summary.get("job") or {}).get("kind") or "pictures")


def fitting(
    given: Mapping[str, Sequence[Mapping[str, Any]]], room: int
) -> dict[str, list[Mapping[str, Any]]]:
    """As many drawings as fit, one of each sheet in turn, so that no sheet crowds out another.

    >>> fitting({"a": [{"png": "x" * 40}] * 3, "b": [{"png": "x" * 40}]}, room=120)["b"]
    [{'png': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'}]
    """
    shown: dict[str, list[Mapping[str, Any]]] = {name: [] for name in given}
    for turn in range(max((len(each) for each in given.values()), default=0)):
        for name, drawings in given.items():
            cost = sum(len(str(d)) for d in drawings[turn].values()) if turn < len(drawings) else room + 1
            if cost <= room:
                room -= cost
                shown[name].append(drawings[turn])
    return shown


def _sheet(name: str, drawings: Sequence[Mapping[str, Any]], total: int, made: str) -> Section:
    left_out = total - len(drawings)
    return {
        "name": name,
        "title": say_of(made, f"sheet.{name}"),
        "note": say_of(made, f"sheet.{name}.note"),
        "drawings": [_drawing(drawing, made) for drawing in drawings],
        "more": say("sheet.more", n=left_out) if left_out else None,
    }


def _drawing(drawing: Mapping[str, Any], made: str = "pictures") -> Section:
    captions = [
        say_of(made, f"sheet.{key}", **{key: said})
        for key, said in (("asked", drawing.get("asked")), ("read", _read(drawing)))
        if said is not None
    ]
    captions += [
        say(f"sheet.{key}", **{key: digits(drawing[key])})
        for key in ("score", "distance")
        if is_number(drawing.get(key))
    ]
    if is_number(drawing.get("tolerance")):
        captions.append(say("sheet.tolerance", tolerance=percent(drawing["tolerance"])))
    twin = drawing.get("twin")
    alt = join(captions, ", ", "，")
    return {
        "png": drawing.get("png"),
        "pieces": [(str(text), bool(wrong)) for text, wrong in drawing.get("pieces") or []],
        "twin": twin if safe_picture(twin) else None,
        "captions": captions,
        "alt": Both(*(f"{what}: {said}" for what, said in zip(say("sheet.drawing"), alt, strict=True))),
    }


def _read(drawing: Mapping[str, Any]) -> Any:
    """What was read; a drawing that was read as no class at all says so."""
    if "read" not in drawing:
        return None
    return say("sheet.nothing") if drawing["read"] in (None, "", -1) else drawing["read"]


# Models


def curves(summary: Summary) -> Section | None:
    """One small picture of training a model."""
    drawn = [(model, charts.training_curve(model)) for model in summary.get("models") or []]
    models = [{**_model_head(model), "picture": picture} for model, picture in drawn if picture]
    return {"models": models} if models else None


def _model_head(model: Mapping[str, Any]) -> Section:
    facts = [f"{digits(model['steps'], 7)} "] if is_number(model.get("steps")) else []
    steps = [Both(fact + say("curve.steps").en, fact + say("curve.steps").zh) for fact in facts]
    spent = [duration(model["seconds"])] if is_number(model.get("seconds")) else []
    return {
        "title": both(model.get("title") or model.get("name")),
        "paper": model.get("paper"),
        "facts": join(steps + spent, ", ", "，"),
    }


# metric -> (which way is better: -1 lower, 1 higher, 0 neither; how it is written)
METRICS: dict[str, tuple[int, Callable[[Any], str]]] = {
    "as_requested": (1, percent),
    "fid": (-1, digits),
    "kid": (-1, digits),
    "is": (1, digits),
    "precision": (1, percent),
    "recall": (1, percent),
    "nelbo": (-1, digits),
    "copies": (-1, digits),
    "parameters": (0, lambda n: digits(n, 9)),
    "seconds": (0, lambda s: digits(s, 2)),
    "slot_errors": (-1, percent),
    "accuracy": (1, percent),
    "outside_answered": (-1, percent),
    "inside_handed_over": (-1, percent),
    "perplexity": (-1, digits),
    "bits": (-1, digits),
    "bits_kn": (0, digits),
    "bleu": (1, percent),
    "chrf": (1, percent),
    "distinct": (1, percent),
    "repeated": (-1, percent),
    "private": (-1, percent),
    "longest_copy": (-1, digits),
    "judge_auroc": (1, digits),
    "draws_per_second": (0, lambda n: digits(n, 2)),
    "texts_per_second": (0, lambda n: digits(n, 2)),
}


def metrics(summary: Summary) -> Section | None:
    """The figures of every model side by side; columns that nobody has are left out."""
    models = [{**m, **(m.get("metrics") or {})} for m in summary.get("models") or [] if m.get("metrics")]
    columns = [key for key in METRICS if any(is_number(model.get(key)) for model in models)]
    if not models or not columns:
        return None
    return {
        "columns": [_metric_head(key) for key in columns],
        "rows": [_metric_row(model, models, columns) for model in models],
        "explained": [
            (say(f"metric.{key}"), say_of(kind(summary), f"what.{key}"))
            for key in columns
            if METRICS[key][0] or f"what.{key}" in WORDS
        ],
    }


def _metric_head(key: str) -> Section:
    better = METRICS[key][0]
    way = {-1: ("↓", say("metric.lower")), 1: ("↑", say("metric.higher")), 0: ("", None)}[better]
    return {"name": say(f"metric.{key}"), "arrow": way[0], "way": way[1]}


def _metric_row(
    model: Mapping[str, Any], models: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> Section:
    cells = [
        {"text": METRICS[key][1](model.get(key)), "best": _is_best(key, model, models)} for key in columns
    ]
    return {"title": both(model.get("title") or model.get("name")), "cells": cells}


def _is_best(key: str, model: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> bool:
    better = METRICS[key][0]
    values = [m[key] for m in models if is_number(m.get(key))]
    if not better or not is_number(model.get(key)) or len(set(values)) < 2:
        return False
    return bool(model[key] == (max(values) if better > 0 else min(values)))


def findings(summary: Summary) -> Section | None:
    """What training noticed, model by model, and what to try."""
    rows = [
        {
            "model": both(model.get("title") or model.get("name")),
            "what": both(found.get("what")),
            "hint": _hint(found),
        }
        for model in summary.get("models") or []
        for found in model.get("findings") or []
    ]
    return {"rows": rows} if rows else None


def _hint(found: Mapping[str, Any]) -> Both | None:
    return say("findings.try", hint=both(found["try"])) if found.get("try") else None


# Data and reader


def split(summary: Summary) -> Section | None:
    """How the real pictures were divided."""
    data = summary.get("data") or {}
    bar = charts.split_bar(data.get("split") or [])
    if bar is None:
        return None
    parts = [part for part in data["split"] if is_number(part.get("n")) and part["n"] > 0]
    total = data.get("total")
    return {
        "bar": bar,
        "lead": say_of(kind(summary), "split.lead", total=digits(total, 9))
        if is_number(total)
        else say_of(kind(summary), "split.lead.bare"),
        "parts": [
            {"name": both(p.get("name")), "n": digits(p["n"], 9), "use": both(p.get("use")), "place": k % 8}
            for k, p in enumerate(parts)
        ],
    }


def reader(summary: Summary) -> Section | None:
    """Who gave the verdicts, how often that reader is wrong, and what this means for the promise."""
    given = summary.get("reader") or {}
    if not given:
        return None
    person = given.get("by") == "person"
    lines = [
        say("reader.person", name=given.get("name") or "–")
        if person
        else say_of(
            kind(summary),
            "reader.model",
            name=given.get("name") or "–",
            n=digits(given.get("trained_on"), 9),
            sentence=_translated(str(given.get("sentence") or "")),
        )
    ]
    if is_number(given.get("tested_on")):
        shares = {key: percent(given.get(key)) for key in ("rate", "low", "high")}
        lines.append(
            say_of(
                kind(summary),
                "reader.error",
                tested=digits(given["tested_on"], 9),
                wrong=digits(given.get("wrong")),
                **shares,
            )
        )
    if given.get("rejected"):
        lines.append(say("reader.rejected", rejected=digits(given["rejected"])))
    means = say("reader.means.person") if person else _reader_means(given, kind(summary))
    return {"lines": lines, "means": means, "more": [*_judge(summary), *_anomaly(summary)]}


def _translated(sentence: str) -> Both:
    """A sentence of parts, each in both languages where its Chinese is known."""
    return Both(sentence, "；".join(chinese(part) for part in sentence.split("; ")))


def _reader_means(given: Mapping[str, Any], made: str) -> Both | None:
    return say_of(made, "reader.means", high=percent(given["high"])) if is_number(given.get("high")) else None


def _judge(summary: Summary) -> list[Both]:
    given = summary.get("judge") or {}
    if not given:
        return []
    trained, auroc = digits(given.get("trained_on"), 9), digits(given.get("auroc"))
    line = say_of(kind(summary), "judge.line", name=given.get("name") or "–", n=trained, auroc=auroc)
    return [join([line, say("judge.means")], " ", "")]


def _anomaly(summary: Summary) -> list[Both]:
    given = summary.get("anomaly") or {}
    figures = [
        say(f"anomaly.{kind}", auroc=digits(given[f"auroc_{kind}"]))
        for kind in ("shuffled", "foreign")
        if is_number(given.get(f"auroc_{kind}"))
    ]
    return [say("anomaly.line", figures=join(figures, ", ", "，"))] if figures else []


# The small print


def assumptions(summary: Summary) -> Section | None:
    """What the promise rests on."""
    return _list(summary.get("assumptions"))


def limits(summary: Summary) -> Section | None:
    """What must not be concluded."""
    return _list(summary.get("limits"))


def _list(given: Any) -> Section | None:
    return {"lines": [both(text) for text in given]} if given else None


def appendix(summary: Summary) -> Section | None:
    """What somebody needs to do it again."""
    job, data = summary.get("job") or {}, summary.get("data") or {}
    facts = [
        ("command", summary.get("command")),
        ("created", summary.get("created")),
        ("version", summary.get("version")),
        ("seed", summary.get("seed")),
        ("versions", _pairs(summary.get("versions"))),
        ("options", _pairs(summary.get("options"))),
        ("prices", _pairs(job.get("prices"))),
        ("data", data.get("sha256")),
    ]
    record = (summary.get("certificate") or {}).get("json")
    shown = [(say(f"appendix.{key}"), str(value)) for key, value in facts if value not in (None, "")]
    return {"facts": shown, "record": _json(record) if record else None} if shown or record else None


def _pairs(given: Any) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in (given or {}).items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _json(record: Any) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False, default=str)


PARTS: dict[str, Callable[[Summary], Section | None]] = {
    "glance": glance,
    "map": tolerance_map,
    "scores": calibration.scores,
    "certificate": certificate,
    "proof": proof,
    "sheets": sheets,
    "metrics": metrics,
    "calibration": calibration.calibration,
    "curves": curves,
    "findings": findings,
    "split": split,
    "reader": reader,
    "assumptions": assumptions,
    "limits": limits,
    "appendix": appendix,
}
