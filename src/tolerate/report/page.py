"""Writes a report: one file that opens in any browser and asks nothing of any network."""

import base64
import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tolerate.errors import DataError, OptionError
from tolerate.messages.report import WORDS, Both, both, digits, duration, percent, say
from tolerate.records import Certificate, Floats
from tolerate.report.charts import risk_plot
from tolerate.report.sections import PARTS, certificate_facts, job_best, kind, sections, title
from tolerate.report.svg import MARKERS, marker

if TYPE_CHECKING:
    from jinja2 import Environment

LANGUAGES = ("en", "zh")


def write_report(summary: Mapping[str, Any], folder: Path) -> Path:
    """Write the page of a run as `report.html` in its folder (or to a file named .html), and return its place.

    The page is written beside its place and then moved there, so that it is there whole or not at all.
    Parts of the summary that are missing are left out.
    """
    return _write(render(summary), _place(Path(folder)))


def render(summary: Mapping[str, Any]) -> str:
    """The page of a run as text."""
    parts = sections(summary)
    return _fill(
        "run.html",
        _language(summary.get("lang") or "en"),
        kind=kind(summary),
        parts={name: parts.get(name) for name in PARTS},
        contents=[name for name in parts if name not in ("glance", "appendix")],
        title=title(summary),
        made=_made(summary),
        closing=_closing(summary),
    )


def _closing(summary: Mapping[str, Any]) -> Both | None:
    from tolerate.report.terminal import closing_words

    return closing_words(summary) if job_best(summary) else None


def _made(summary: Mapping[str, Any]) -> Both | None:
    if not summary.get("created"):
        return None
    spent, version = duration(summary.get("seconds")), summary.get("version") or ""
    return say("made", created=_date(str(summary["created"])), seconds=spent, version=version)


def _date(text: str) -> str:
    """A date and time as people write it; a text that is none stays as it is."""
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
    """Write one page about a single certificate, and return where it is.

    target: a folder, which gets `report.html`, or a file that ends in .html.
    scores, losses: [n] of the labelled table; given both, the page shows the risk against the share released.
    """
    return _write(render_certificate(certificate, lang, scores=scores, losses=losses), _place(Path(target)))


def render_certificate(
    certificate: Certificate, lang: str = "en", *, scores: Floats | None = None, losses: Floats | None = None
) -> str:
    """The page of a single certificate as text."""
    from tolerate.messages.certificates import say_certificate

    return _fill(
        "certificate.html",
        _language(lang),
        title=say("alone"),
        made=both(f"{_date(certificate.made)}, tolerate {certificate.version}") if certificate.made else None,
        sentence=Both(say_certificate(certificate, "en"), say_certificate(certificate, "zh")),
        certificate=certificate,
        facts=certificate_facts(certificate.to_json()),
        curves=_risk_curves(certificate, scores, losses),
        slices=[_slice_row(line) for line in certificate.slices],
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


def _slice_row(line: Mapping[str, Any]) -> list[str]:
    counts = [digits(line.get(key), 9) for key in ("labels", "released")]
    return [
        str(line.get("name", "–")),
        *counts,
        percent(line.get("risk_seen")),
        percent(line.get("risk_bound")),
    ]


def _language(lang: str) -> str:
    if lang not in LANGUAGES:
        raise OptionError(f'language "{lang}" is not known; expected one of: {", ".join(LANGUAGES)}.')
    return lang


# The machinery of the page


def _fill(template: str, lang: str, kind: str = "pictures", **values: Any) -> str:
    script = _source("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _templates()
        .get_template(template)
        .render(
            lang=lang,
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
    """The words that need nothing filled in, for the templates; those of the kind of items in place of the usual."""
    return {key: Both(*WORDS.get(f"{key}@{kind}", said)) for key, said in WORDS.items() if "{" not in said[0]}


def _swatch(number: int) -> Markup:
    """The marker of a family, for the key beside the map."""
    shape = list(MARKERS)[number]
    return Markup('<svg class="swatch f{}" viewBox="0 0 16 16" aria-hidden="true">{}</svg>').format(
        number, marker(shape, 8, 8, 5.5, class_="mark")
    )


def _place(target: Path) -> Path:
    return target if target.suffix in (".html", ".htm") else target / "report.html"


def _write(text: str, target: Path) -> Path:
    """Write beside the target, then move: nobody ever reads half a page."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return target
