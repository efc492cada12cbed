"""Options that several commands share, and parsers of shares, times and languages."""

import locale
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tolerate.errors import OptionError

if TYPE_CHECKING:
    from tolerate.service.local import LocalDeskOptions


def share(text: str | float) -> float:
    """A share between 0 and 1, written as 0.02 or 2%.

    >>> share("2%"), share("0.02")
    (0.02, 0.02)
    """
    text = str(text)  # a default comes as the number it is
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise typer.BadParameter(f'"{text}" is no share between 0 and 1; write 0.02 or 2%')
    return value


def share_or_all(text: str | float) -> float:
    """Parse a share above 0, 100% included.

    >>> share_or_all("10%"), share_or_all("100%")
    (0.1, 1.0)
    """
    return 1.0 if str(text) in ("100%", "1", "1.0") else share(text)


def duration(text: str) -> float:
    """Parse a duration written as 60, 60s, 2m or 1h into seconds.

    >>> duration("2m")
    120.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text.strip())
    if not match or float(match[1]) == 0:
        raise typer.BadParameter(f'"{text}" is not a duration; write 60s, 2m or 1h')
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


def language() -> str:
    """The user's language: zh if TOLERATE_LANG or the locale is Chinese, otherwise en."""
    name = os.environ.get("TOLERATE_LANG") or locale.getlocale()[0] or os.environ.get("LANG", "")
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def choose_language(*languages: str) -> str:
    """The first language that is set, or the system's; an unsupported one raises OptionError."""
    for lang in languages:
        if lang not in ("", "en", "zh"):
            raise OptionError(f'unsupported language "{lang}"; choose --lang en or --lang zh')
    return next((lang for lang in languages if lang), "") or language()


def names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names.

    >>> names("vae, flow")
    ('vae', 'flow')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def print_to_stderr(line: str) -> None:
    """Print a line for the person at the terminal, apart from the output of the command."""
    print(line, file=sys.stderr, flush=True)


def reviewers_from(
    reviewers: str,
    guide: Path | None,
    lang: str,
    announce: Callable[[str], None],
    reviewers_per_item: int = 1,
    port: int = 0,
) -> "LocalDeskOptions":
    """The reviewers of a desk on this machine, from the options of a command."""
    from tolerate.service.config import text_of
    from tolerate.service.local import LocalDeskOptions

    guide_text = "" if guide is None else text_of(guide)
    return LocalDeskOptions(
        names(reviewers) or ("first",), lang, guide_text, reviewers_per_item, port, announce
    )


Reviewers = Annotated[
    str, typer.Option(help="Names of the people at the desk, separated by commas: each gets a link.")
]
Guide = Annotated[Path | None, typer.Option(help="File that says what counts as wrong, shown at the desk.")]
Port = Annotated[int, typer.Option(help="Port of the desk; 0 takes the last one, or a free one.")]
Tolerance = Annotated[
    float,
    typer.Option(
        parser=share, metavar="SHARE", help="Largest acceptable risk of what is released: 2% or 0.02."
    ),
]
Confidence = Annotated[
    float, typer.Option(parser=share, metavar="SHARE", help="Chance that the promise holds: 95% or 0.95.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Lang = Annotated[str, typer.Option(metavar="en|zh", help="Language: en or zh. By default the system's.")]
Loss = Annotated[str, typer.Option(help="Column of losses: 0 fine to 1 unacceptable, or true for wrong.")]
Score = Annotated[str | None, typer.Option(help="Column of scores, higher is better.")]
Cluster = Annotated[
    str | None, typer.Option(help="Column naming what was sampled together (question, call).")
]
Slice = Annotated[str | None, typer.Option(help="Column naming the part a row belongs to (language, topic).")]
Weight = Annotated[str | None, typer.Option(help="Column of weights, if labels were not drawn uniformly.")]
