"""Writing a report: one HTML file that opens in any browser and loads nothing from a network."""

import base64
import hashlib
import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tolerate.base.json_types import JsonObject
from tolerate.errors import DataError
from tolerate.messages.both import Both, both, checked_lang
from tolerate.messages.catalogue import fill_both
from tolerate.messages.certificates import certificate_text
from tolerate.messages.numbers import at_most, digits, duration, percent
from tolerate.messages.report import WORDS, say, texts_of
from tolerate.records import Certificate, Floats
from tolerate.report.charts import risk_plot
from tolerate.report.item_sheets import nouns_of
from tolerate.report.overview import certificate_facts, certificate_sentences, job_title
from tolerate.report.sections import SECTIONS, sections_of
from tolerate.report.summary import RunSummary, as_summary
from tolerate.report.svg import MARKERS, marker
from tolerate.report.terminal import closing_sentence
from tolerate.report.tolerance_map import best_at_job_tolerance

if TYPE_CHECKING:
    from jinja2 import Environment


def write_report(summary: RunSummary | JsonObject, folder: Path) -> Path:
    """Write the page of a run as `report.html` in its folder (or to a file named .html), and return its path.

    summary: a `RunSummary`, or the JSON of a `summary.json`; parts that are missing are left out of the page.
    The page is written beside its path and then moved there, so that it never exists in part.
    """
    return _write(render(as_summary(summary)), _page_path(Path(folder)))


def render(summary: RunSummary) -> str:
    """The page of a run as text."""
    sections = sections_of(summary)
    return _fill(
        "run.html",
        summary.lang,
        kind=summary.job.kind,
        sections={name: sections.get(name) for name in SECTIONS},
        contents=[name for name in sections if name not in ("glance", "appendix")],
        title=job_title(summary),
        created=_created(summary),
        closing=closing_sentence(summary) if best_at_job_tolerance(summary) else None,
    )


def _created(summary: RunSummary) -> Both | None:
    if not summary.created:
        return None
    seconds = duration(summary.seconds)
    return say("made", created=_date(summary.created), seconds=seconds, version=summary.version)


def _date(text: str) -> str:
    """An ISO date and time to the minute; a text that is none stays as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def write_certificate_report(
    certificate: Certificate,
    target: Path,
    lang: str = "en",
    *,
    scores: Floats | None = None,
    losses: Floats | None = None,
) -> Path:
    """Write a page about a single certificate, and return its path.

    target: a folder, which gets `report.html`, or a file that ends in .html.
    scores, losses: [n] of the labelled table; given both, the page shows the risk against the share released.
    """
    page = render_certificate(certificate, lang, scores=scores, losses=losses)
    return _write(page, _page_path(Path(target)))


def render_certificate(
    certificate: Certificate, lang: str = "en", *, scores: Floats | None = None, losses: Floats | None = None
) -> str:
    """The page of a single certificate as text."""
    record = certificate.to_json()
    created = f"{_date(certificate.made)}, tolerate {certificate.version}" if certificate.made else None
    return _fill(
        "certificate.html",
        lang,
        title=say("alone"),
        created=both(created) if created else None,
        sentence=Both(certificate_text(certificate, "en"), certificate_text(certificate, "zh")),
        facts=certificate_facts(record),
        assumptions=certificate_sentences(record, "assumptions"),
        advice=certificate_sentences(record, "advice"),
        curves=_risk_curves(certificate, scores, losses),
        slices=[_slice_row(row) for row in certificate.slices],
        record=certificate.dumps(),
    )


def _risk_curves(certificate: Certificate, scores: Floats | None, losses: Floats | None) -> list[Markup]:
    if scores is None or losses is None:
        return []
    if len(scores) != len(losses):
        raise DataError(
            f"got {len(scores)} scores and {len(losses)} losses; expected one of each per item. "
            "Pass two columns of the same table."
        )
    sizes = [
        risk_plot(scores, losses, certificate.tolerance, certificate.coverage, narrow)
        for narrow in (False, True)
    ]
    return [size for size in sizes if size is not None]


def _slice_row(row: JsonObject) -> list[str]:
    counts = [digits(row.get(key), 9) for key in ("labels", "released")]
    shares = [percent(row.get("risk_seen")), at_most(row.get("risk_bound"))]
    return [str(row.get("name", "–")), *counts, *shares]


# Templates and files


def _fill(template: str, lang: str, kind: str = "pictures", **values: object) -> str:
    script = _source("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _templates()
        .get_template(template)
        .render(
            lang=checked_lang(lang),
            words=_words(kind),
            style=Markup(_source("page.css")),
            script=Markup(script),
            script_hash=digest,
            swatch=_swatch,
            **values,
        )
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("tolerate.report")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _source(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _words(kind: str) -> dict[str, Both]:
    """The texts without fields, for the templates; those of the kind of items replace the general ones."""
    nouns = {"nouns": nouns_of(kind)}
    return {key: fill_both(texts_of(kind, key), nouns) for key, texts in WORDS.items() if "{" not in texts[0]}


def _swatch(number: int) -> Markup:
    """The marker of a family, for the key of the map."""
    shape = list(MARKERS)[number]
    return Markup('<svg class="swatch f{}" viewBox="0 0 16 16" aria-hidden="true">{}</svg>').format(
        number, marker(shape, 8, 8, 5.5, class_="mark")
    )


def _page_path(target: Path) -> Path:
    return target if target.suffix in (".html", ".htm") else target / "report.html"


def _write(text: str, target: Path) -> Path:
    """Write beside the target, then move, so that no reader sees an incomplete page."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
