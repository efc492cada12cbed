"""Writes a plan as one HTML file that opens in any browser and loads nothing from a network."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tolerate.base.files import write_whole
from tolerate.careers.pages import plan_texts
from tolerate.careers.pages.sections import plan_sections
from tolerate.careers.planning.plan import CareerPlan
from tolerate.messages.both import Both, join
from tolerate.messages.careers import WORDS, say
from tolerate.messages.report import WORDS as REPORT_WORDS
from tolerate.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment


def write_plan(plan: CareerPlan, target: Path, lang: str = "en") -> Path:
    """Write the page of a plan to a file named .html, or as career.html into a folder; return its path."""
    return _write(render(plan, lang), target)


def write_comparison(plans: Sequence[CareerPlan], target: Path, lang: str = "en") -> Path:
    """Write a page with several occupations side by side; return its path."""
    return _write(render_comparison(plans, lang), target)


def render(plan: CareerPlan, lang: str = "en") -> str:
    """The page of a plan as text."""
    sections = plan_sections(plan)
    return _fill(
        "career.html",
        lang,
        sections=sections,
        contents=sections.contents,
        title=say("title", name=plan.occupation.name),
        closing=plan_texts.closing(plan),
    )


def render_comparison(plans: Sequence[CareerPlan], lang: str = "en") -> str:
    """The page of a comparison as text: the sections of each occupation, one after the other."""
    return _fill(
        "compare.html",
        lang,
        plans=[(plan.occupation.name, plan_sections(plan)) for plan in plans],
        title=join([plan.occupation.name for plan in plans], " · ", " · "),
    )


def _fill(template: str, lang: str, **values: object) -> str:
    script = _source("page.js")
    return (
        _templates()
        .get_template(template)
        .render(
            lang=lang,
            words={**_fixed_texts(REPORT_WORDS), **_fixed_texts(WORDS)},
            style=Markup(_source("page.css") + _source("career.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            created=say("made", created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), version=__version__),
            **values,
        )
    )


def _fixed_texts(catalogue: dict[str, tuple[str, str]]) -> dict[str, Both]:
    """The texts of a catalogue that have no fields."""
    return {key: Both(*texts) for key, texts in catalogue.items() if "{" not in texts[0]}


@cache
def _templates() -> "Environment":
    """The templates of the career pages, and those of the reports that they extend."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader("tolerate.careers.pages"), PackageLoader("tolerate.report")])
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _source(name: str) -> str:
    """A style sheet or script as text."""
    environment = _templates()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _write(text: str, target: Path) -> Path:
    path = target if target.suffix in (".html", ".htm") else target / "career.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
    return path
