"""Writes a plan as one page that opens in any browser and asks nothing of any network."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tolerate import report
from tolerate.base.files import write_whole
from tolerate.careers.pages import said
from tolerate.careers.pages.sections import sections
from tolerate.careers.planning.plan import Plan
from tolerate.messages.both import Both
from tolerate.messages.careers import WORDS, say
from tolerate.messages.report import WORDS as HOUSE
from tolerate.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent / "templates"
THERE = Path(report.__file__).parent / "templates"


def write_plan(plan: Plan, target: Path, lang: str = "en") -> Path:
    """Write the page to a file named .html, or as career.html into a folder; return where it is."""
    return _write(render(plan, lang), target)


def write_comparison(plans: Sequence[Plan], target: Path, lang: str = "en") -> Path:
    """Write a page with several occupations side by side."""
    return _write(compare(plans, lang), target)


def render(plan: Plan, lang: str = "en") -> str:
    """The page of a plan as text."""
    parts = sections(plan)
    names = [
        name for name in ("tasks", "map", "moves", "path", "techniques", "limits", "appendix") if parts[name]
    ]
    return _fill(
        "career.html",
        lang,
        parts=parts,
        names=names,
        title=say("title", name=plan.occupation.name),
        closing=said.closing(plan),
    )


def compare(plans: Sequence[Plan], lang: str = "en") -> str:
    """The page of a comparison as text: the parts of each occupation, one after the other."""
    from tolerate.messages.both import join

    title = join([plan.occupation.name for plan in plans], " · ", " · ")
    return _fill(
        "compare.html", lang, plans=[(plan.occupation.name, sections(plan)) for plan in plans], title=title
    )


def _fill(template: str, lang: str, **values: Any) -> str:
    script = _source(THERE, "page.js")
    return (
        _templates()
        .get_template(template)
        .render(
            lang=lang,
            words={**_words(HOUSE), **_words(WORDS)},
            style=Markup(_source(THERE, "page.css") + _source(HERE, "career.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            created=say("made", created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), version=__version__),
            **values,
        )
    )


def _words(table: dict[str, tuple[str, str]]) -> dict[str, Both]:
    return {key: Both(*said_) for key, said_ in table.items() if "{" not in said_[0]}


@cache
def _templates() -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader("tolerate.careers.pages"), PackageLoader("tolerate.report")])
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _source(folder: Path, name: str) -> str:
    return (folder / name).read_text("utf-8")


def _write(text: str, target: Path) -> Path:
    place = target if target.suffix in (".html", ".htm") else target / "career.html"
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, text.encode())
    return place
