"""Rendering of templates into pages; texts with their invisible characters named."""

import re
import unicodedata
from collections.abc import Collection
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tolerate.messages import numbers
from tolerate.messages.catalogue import fill
from tolerate.messages.desk import WORDS
from tolerate.store import people

FOLDER = Path(__file__).parent
STATIC = {
    "desk.css": ((FOLDER / "static" / "desk.css").read_bytes(), b"text/css; charset=utf-8"),
    "desk.js": ((FOLDER / "static" / "desk.js").read_bytes(), b"text/javascript; charset=utf-8"),
}
UNNAMED_REVIEWERS = ("first", "second")  # names of a local desk's reviewers who gave none
VISIBLE_CONTROLS = {"\n", "\t"}
NOT_PLAIN = re.compile(r"[^ -~\n\t]")  # characters whose category is looked up


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tolerate.service.desk", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        visible=visible,
        share=numbers.percent,
        at_most=numbers.at_most,
        at_least=numbers.at_least,
        threshold=numbers.threshold,
        lowest_score=numbers.lowest_score,
        age=numbers.age,
    )
    return environment


def page(
    template: str,
    lang: str,
    session: people.Session | None,
    has: Collection[str] = (),
    **values: object,
) -> bytes:
    """A template as a page. lang: en or zh; session: of the user who has logged in; has: names of the desk's pages."""
    index = 1 if lang == "zh" else 0
    context: dict[str, object] = {"jobs": (), "has": has, **values}

    def text(key: str, **fields: object) -> str:
        return fill(WORDS[key][index], "zh" if index else "en", fields)

    def display_name(name: str) -> str:
        """A user's name; of a local desk's unnamed reviewers "first person" or "second person"."""
        return text(f"seat {name}") if name in UNNAMED_REVIEWERS and "finish" in has else name

    html = (
        _environment()
        .get_template(template)
        .render(t=text, display_name=display_name, lang=lang, session=session, **context)
    )
    return html.encode("utf-8", "replace")


def visible(text: str) -> Markup:
    """Text as HTML in which control, invisible and direction-changing characters are shown by their code.

    >>> visible("a\\u200bb<i>")
    Markup('a<span class="sign" title="ZERO WIDTH SPACE">U+200B</span>b&lt;i&gt;')
    """
    if not hides(text):
        return escape(text)
    return Markup("").join(_named(char) if _is_hidden(char) else escape(char) for char in text)


def hides(text: str) -> bool:
    """Whether a text has invisible characters."""
    return any(map(_is_hidden, set(NOT_PLAIN.findall(text))))


def _is_hidden(char: str) -> bool:
    if char in VISIBLE_CONTROLS or (" " <= char <= "~"):
        return False
    category = unicodedata.category(char)
    return category in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") or (category == "Zs" and char != "\u3000")


def _named(char: str) -> Markup:
    name = unicodedata.name(char, "no name")
    return Markup('<span class="sign" title="{}">U+{:04X}</span>').format(name, ord(char))
