"""The command line: each command parses, calls one function and prints.

Exit codes: 0 done, 1 nothing could be proven (so that a pipeline stops by itself), 2 bad input.
"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tolerate.cli import auditing, certifying, comparing, exporting, people, running, serving, steps
from tolerate.cli.careers import career
from tolerate.errors import TolerateError
from tolerate.version import __version__

app = typer.Typer(
    help="Decide, with a guarantee, what AI-generated content may be released.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(requested: bool) -> None:
    if requested:
        print(f"tolerate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


COMMANDS: dict[Callable[..., None], str] = {  # and an example of each
    certifying.certify: "tolerate certify answers.csv --loss wrong --score confidence --cluster question -t 2%   or   "
    "tolerate certify 'parts/*.parquet' --loss wrong=2% --loss harmful=0.1% --score confidence --workers 4",
    running.run: "tolerate run digits   (then open runs/digits/report.html)",
    running.jobs: "tolerate jobs",
    steps.train: "tolerate train vae-mixture --job digits --budget 10s --out digits-vae",
    steps.generate: "tolerate generate digits-vae --ask 7 --count 20 --out sevens",
    steps.check: "tolerate check drawings --job digits --out labels.csv",
    exporting.export: "tolerate export notes --out notes-llama   then   tolerate generate hf:notes-llama --prompt ...",
    steps.report: "tolerate report runs/digits   or   tolerate report certificate.json --table labels.csv",
    certifying.verify: "tolerate verify runs/digits/certificate.json runs/digits/labels.parquet",
    comparing.compare: "tolerate compare answers.csv --strategy model --loss wrong --score confidence -t 5% --review 2",
    auditing.audit: "tolerate audit batch.csv --tolerance 2% --plan   then the same without --plan",
    serving.serve: "tolerate serve --job support --certificate certificate.json --upstream http://localhost:8000/v1",
    people.people: "tolerate people --database tolerate.db --new-password owner",
}
for command, example in COMMANDS.items():
    app.command(epilog=f"Example: {example}")(command)
app.add_typer(career, name="career")


def main() -> None:
    """Run a command; a TolerateError is printed as one line without a traceback and exits with 2."""
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
