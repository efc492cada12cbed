"""The command line: each command parses, calls one function and prints.

Exit codes: 0 done, 1 nothing could be proven (so that a pipeline stops by itself), 2 bad input.
"""

import json
import locale
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tolerate import __version__
from tolerate.errors import OptionError, TolerateError

app = typer.Typer(
    help="Decide, with a guarantee, what AI-generated content may be released.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def share(text: str) -> float:
    """A share between 0 and 1, written as 0.02 or 2%.

    >>> share("2%"), share("0.02")
    (0.02, 0.02)
    """
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise typer.BadParameter(f'"{text}" is no share between 0 and 1; write 0.02 or 2%')
    return value


def duration(text: str) -> float:
    """Seconds, written as 60, 60s, 2m or 1h.

    >>> duration("2m")
    120.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text.strip())
    if not found or float(found[1]) == 0:
        raise typer.BadParameter(f'"{text}" is no time; write 60s, 2m or 1h')
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


def language() -> str:
    """The user's language, as far as we speak it: zh where the locale is Chinese, else en."""
    name = os.environ.get("TOLERATE_LANG") or locale.getlocale()[0] or os.environ.get("LANG", "")
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def speak(lang: str) -> str:
    """Check the --lang option."""
    if lang not in ("", "en", "zh"):
        raise OptionError(f'we do not speak "{lang}"; try --lang en or --lang zh')
    return lang or language()


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


def _version(asked: bool) -> None:
    if asked:
        print(f"tolerate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Example: tolerate certify answers.csv --loss wrong --score confidence --cluster question -t 2%"
)
def certify(
    table: Annotated[Path, typer.Argument(help="Labelled items: CSV, JSONL or Parquet, one row an item.")],
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", "-t", parser=share, metavar="SHARE", help="Largest acceptable risk: 2% or 0.02."
        ),
    ],
    loss: Loss = "loss",
    score: Score = None,
    cluster: Cluster = None,
    slice: Slice = None,
    weight: Weight = None,
    confidence: Confidence = 0.95,
    out: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Certify what may be released on its score: the largest part whose risk is within the tolerance.

    Exits with 1 if nothing can be proven.
    """
    from tolerate import stats, tables
    from tolerate.words import say_certificate

    lang = speak(lang)
    rows = tables.read(table, loss=loss, score=score, cluster=cluster, slice=slice, weight=weight)
    certificate = stats.certify(rows, tolerance=tolerance, confidence=confidence)
    if out is not None:
        from tolerate.folder import write_whole

        write_whole(out, certificate.dumps().encode())
    print(certificate.dumps() if as_json else say_certificate(certificate, lang))
    if not certificate.proven:
        raise typer.Exit(1)


def main() -> None:
    """Run a command; a user's mistake is told in a line, without a trace, and exits with 2."""
    try:
        app()
    except TolerateError as error:
        print(f"tolerate: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("tolerate: stopped; the same command continues", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
