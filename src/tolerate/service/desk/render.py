"""Templates into pages, and text that hides nothing."""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tolerate.messages import numbers
from tolerate.messages.catalogue import fill
from tolerate.messages.desk import WORDS
from tolerate.store import people

HERE = Path(__file__).parent
STATIC = {
    "desk.css": ((HERE / "static" / "desk.css").read_bytes(), b"text/css; charset=utf-8"),
    "desk.js": ((HERE / "static" / "desk.js").read_bytes(), b"text/javascript; charset=utf-8"),
}
SEATS = ("first", "second")
PLAIN = {"\n", "\t"}
DOUBTFUL = re.compile(r"[^ -~\n\t]")  # looked at more closely; everything else is plain


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tolerate.service.desk", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        visible=visible,
        share=numbers.percent,
        at_most=numbers.at_most,
        at_least=numbers.at_least,
        threshold=numbers.threshold,
        lowest_score=numbers.lowest_score,
        age=numbers.age,
    )
    return made


def page(template: str, lang: str, session: people.Session | None, **values: Any) -> bytes:
    """A page as bytes."""
    place = 1 if lang == "zh" else 0

    def said(key: str, **given: Any) -> str:
        return fill(WORDS[key][place], "zh" if place else "en", given)

    def who(name: str) -> str:
        """A person's name; the seats of a desk of one's own have none but their place."""
        return said(f"seat {name}") if name in SEATS and "finish" in given["has"] else name

    given = {"jobs": (), "has": set(), **values}
    html = _environment().get_template(template).render(t=said, who=who, lang=lang, session=session, **given)
    return html.encode("utf-8", "replace")


def visible(text: str) -> Markup:
    """Text in which nothing is hidden: control, invisible and direction-changing characters are named.

    >>> visible("a\\u200bb<i>")
    Markup('a<span class="sign" title="ZERO WIDTH SPACE">U+200B</span>b&lt;i&gt;')
    """
    if not hides(text):
        return escape(text)
    return Markup("").join(_sign(sign) if _hides(sign) else escape(sign) for sign in text)


def hides(text: str) -> bool:
    """Whether a text has characters that cannot be seen."""
    return any(map(_hides, set(DOUBTFUL.findall(text))))


def _hides(sign: str) -> bool:
    if sign in PLAIN or (" " <= sign <= "~"):
        return False
    kind = unicodedata.category(sign)
    return kind in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") or (kind == "Zs" and sign != "\u3000")


def _sign(sign: str) -> Markup:
    name = unicodedata.name(sign, "no name")
    return Markup('<span class="sign" title="{}">U+{:04X}</span>').format(name, ord(sign))
