"""The command line: each command parses, calls one function and prints.

Exit codes: 0 done, 1 nothing could be proven (so that a pipeline stops by itself), 2 bad input.
"""

import json
import locale
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tolerate import __version__, cli_serve
from tolerate.careers.commands import career
from tolerate.console import Console
from tolerate.errors import DataError, OptionError, TolerateError

app = typer.Typer(
    help="Decide, with a guarantee, what AI-generated content may be released.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """A share above 0, 100% included.

    >>> share_or_all("10%"), share_or_all("100%")
    (0.1, 1.0)
    """
    return 1.0 if str(text) in ("100%", "1", "1.0") else share(text)


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
    "   or   tolerate certify 'parts/*.parquet' --loss wrong=2% --loss harmful=0.1% --score confidence --workers 4"
)
def certify(
    table: Annotated[
        str,
        typer.Argument(
            help="Labelled items: CSV, JSONL or Parquet, one row an item; a folder or 'parts/*.parquet' of many."
        ),
    ],
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", "-t", parser=share, metavar="SHARE", help="Largest acceptable risk: 2% or 0.02."
        ),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of losses: 0 fine to 1 unacceptable, or true for wrong. Several, each with its tolerance: "
            "--loss wrong=2% --loss harmful=0.1%."
        ),
    ] = None,
    score: Score = None,
    cluster: Cluster = None,
    slice: Slice = None,
    weight: Weight = None,
    confidence: Confidence = 0.95,
    each_slice: Annotated[
        bool, typer.Option("--each-slice", help="Also a threshold of its own for each slice.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that count the parts of many files.")] = 1,
    ray: Annotated[bool, typer.Option("--ray", help="Count the parts as tasks of Ray.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Certify what may be released on its score: the largest part whose risk is within the tolerance.

    Exits with 1 if nothing can be proven.
    """
    from tolerate import stats
    from tolerate.words import say_certificate, say_slices

    lang = speak(lang)
    tolerances = _tolerances(loss or ["loss"], tolerance)
    columns = {"score": score, "cluster": cluster, "slice": slice, "weight": weight}
    with _rows(table, list(tolerances), columns, workers, ray) as rows:
        certificate = stats.certify(
            rows,
            tolerance=tolerances if len(tolerances) > 1 else next(iter(tolerances.values())),
            confidence=confidence,
            each_slice=each_slice,
        )
    if out is not None:
        from tolerate.folder import write_whole

        write_whole(out, certificate.dumps().encode())
    said = [say_certificate(certificate, lang), *say_slices(certificate, lang)]
    print(certificate.dumps() if as_json else "\n".join(said))
    if not certificate.proven:
        raise typer.Exit(1)


def _tolerances(losses: list[str], tolerance: float | None) -> dict[str, float]:
    """The tolerance of each column of losses: its own, written wrong=2%, or the one for all.

    >>> _tolerances(["wrong", "harmful=0.1%"], 0.02)
    {'wrong': 0.02, 'harmful': 0.001}
    """
    found: dict[str, float] = {}
    for text in losses:
        name, equals, own = text.rpartition("=")
        name, limit = (name, share(own)) if equals and name else (text, tolerance)
        if limit is None:
            raise OptionError(f'no tolerance for "{name}"; give -t 2%, or --loss {name}=2%')
        if name in found:
            raise OptionError(f'the loss "{name}" is named twice; name each column once')
        found[name] = limit
    return found


def _rows(
    where: str, losses: list[str], columns: dict[str, str | None], workers: int = 1, ray: bool = False
) -> Any:
    """A table in memory, or a source in many files; either in a `with` block."""
    from contextlib import nullcontext

    from tolerate import tables

    many = Path(where).is_dir() or any(sign in where for sign in "*?[")
    if not (many or ray or workers > 1):
        return nullcontext(tables.read(where, loss=losses, **columns))
    for role in ("cluster", "weight"):
        if columns.get(role):
            raise OptionError(
                f"--{role} needs the rows themselves, and parts are only counted; put them into one file"
            )
    from tolerate.partition import parts

    return parts(
        where,
        loss=losses,
        score=columns.get("score"),
        slice=columns.get("slice"),
        workers=workers,
        ray=ray,
    )


@app.command(epilog="Example: tolerate run digits   (then open runs/digits/report.html)")
def run(
    job: Annotated[
        str, typer.Argument(help="A job of the book (tolerate jobs) or package.module:attribute.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="Data of the job: a folder or file; digits needs none.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. By default runs/JOB.")] = None,
    models: Annotated[str, typer.Option(help="Models, separated by commas. By default the job's.")] = "",
    refine: Annotated[str, typer.Option(help="Ways to refine, separated by commas: plain,best-of-4.")] = "",
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", "-t", parser=share, metavar="SHARE", help="Largest acceptable risk."),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(parser=share, metavar="SHARE", help="Chance that the promise holds.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Training time of each model: 60s, 2m."),
    ] = None,
    labels: Annotated[
        int | None, typer.Option(help="Requests answered and checked for the certificates.")
    ] = None,
    proof: Annotated[int | None, typer.Option(help="Fresh requests for the proof.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes that train beside the run; 0 for none.")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="A person gives the verdicts, at a small page.")
    ] = False,
    reviews: Annotated[int, typer.Option(help="Items that the person judges under --review.")] = 300,
    judge: Annotated[
        str, typer.Option(help="A model that judges until a person does: openai:MODEL@URL (headlines).")
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the folder's run and start again.")] = False,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Run a job from data to a certified release, with a report.

    Killed at any moment, the same command continues and ends with the same result; on a finished
    folder it does nothing.
    """
    from tolerate.jobs import job as find
    from tolerate.run import Options, settle
    from tolerate.run import run as work

    lang = speak(lang)
    chosen = find(job)
    options = Options(
        data=data,
        models=_names(models),
        refine=_names(refine),
        tolerance=tolerance,
        confidence=confidence,
        labels=labels,
        proof=proof,
        budget=budget,
        seed=seed,
        workers=workers,
        lang=lang,
        review=review,
        reviews=reviews,
        judge=judge,
    )
    settled = settle(chosen, options)
    folder = out or Path("runs") / chosen.name
    if fresh:
        from tolerate.folder import RunFolder

        RunFolder(folder).clear()
    with Console(len(settled.models) + 3, folder / "log.txt", quiet=as_json) as console:
        summary = work(chosen, folder, options, console, "tolerate " + shlex.join(sys.argv[1:]))
    if as_json:
        print(json.dumps(summary["best"], indent=1))
        return
    from tolerate.report.terminal import closing_line, print_map

    print_map(summary, lang)
    print(closing_line(summary, lang, folder / "report.html"))


def _names(text: str) -> tuple[str, ...]:
    """The names in a list with commas.

    >>> _names("vae, flow")
    ('vae', 'flow')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


@app.command(epilog="Example: tolerate jobs")
def jobs(as_json: Json = False, lang: Lang = "") -> None:
    """List the book of jobs: what each makes, at which tolerance, and how it is run."""
    from tolerate.jobs import JOBS
    from tolerate.jobs import job as find

    lang = speak(lang)
    book = [find(name) for name in JOBS]
    if as_json:
        print(json.dumps([job.to_json() for job in book], indent=1, ensure_ascii=False))
        return
    for job in book:
        print(f"{job.name:10} {job.tolerance:5.1%}  {job.title[lang]}\n{'':17} {job.example}")


@app.command(epilog="Example: tolerate train vae-mixture --job digits --budget 10s --out digits-vae")
def train(
    model: Annotated[str, typer.Argument(help="A model of the zoo, or package.module:attribute.")],
    job: Annotated[str, typer.Option(help="The job whose pictures it learns from.")] = "digits",
    data: Annotated[Path | None, typer.Option(help="Data of the job.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the model. By default the model's name.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(parser=duration, metavar="TIME", help="Training time: 60s, 2m.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps; by default the model's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    board: Annotated[bool, typer.Option("--board", help="Write TensorBoard's logs too.")] = False,
    as_json: Json = False,
) -> None:
    """Train one generator; the same command continues a training that was stopped."""
    from tolerate.jobs import job as find
    from tolerate.jobs.steps import train_model
    from tolerate.run import Options

    folder = out or Path(model.replace(":", "."))
    options = Options(data=data, budget=budget, steps=steps, seed=seed, device=device, board=board)
    with Console(1, quiet=as_json) as console:
        about = train_model(find(job), model, options, folder, console)
    if as_json:
        print(json.dumps(about, indent=1, ensure_ascii=False))
        return
    print(
        f"{about['title']}: {about['steps']} steps in {about['seconds']:.1f} s, {about['parameters']:,} parameters"
    )
    for finding in about["findings"]:
        print(f"! {finding['what']}\n  try: {finding['try']}")
    print(f"next: tolerate generate {folder} --count 100 --out drawings")


@app.command(epilog="Example: tolerate generate digits-vae --ask 7 --count 20 --out sevens")
def generate(
    model: Annotated[Path, typer.Argument(help="A folder that `tolerate train` wrote.")],
    ask: Annotated[str | None, typer.Option(help="What to draw; by default every class in turn.")] = None,
    count: Annotated[int, typer.Option(help="How many items.")] = 100,
    out: Annotated[Path, typer.Option(help="Folder for the items: PNG files and items.csv.")] = Path(
        "drawings"
    ),
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
) -> None:
    """Let a trained generator make items."""
    from tolerate.jobs import steps

    with Console(1) as console:
        made = steps.generate(model, ask, count, out, seed, console)
    print(f"{made} items in {out}\nnext: tolerate check {out} --out labels.csv")


@app.command(epilog="Example: tolerate check drawings --job digits --out labels.csv")
def check(
    items: Annotated[Path, typer.Argument(help="A folder of items with items.csv (columns item, asked).")],
    job: Annotated[str, typer.Option(help="The job whose reader checks and whose judge scores.")] = "digits",
    data: Annotated[Path | None, typer.Option(help="Data of the job.")] = None,
    out: Annotated[Path, typer.Option(help="The labelled table to write.")] = Path("labels.csv"),
    seed: Annotated[int, typer.Option(help="Seed of the split of the real pictures.")] = 0,
) -> None:
    """Check items by the job's reader, score them by its judge, and write a labelled table."""
    from tolerate.jobs import job as find
    from tolerate.jobs.steps import check_items
    from tolerate.run import Options

    with Console(2) as console:
        done = check_items(find(job), items, Options(data=data, seed=seed), out, console)
    print(f"{done.items} items, {done.wrong} wrong ({done.wrong / done.items:.1%}): {done.path}")
    print(f"next: tolerate certify {done.path} --score score --tolerance 5%")


@app.command(
    epilog="Example: tolerate report runs/digits   or   tolerate report certificate.json --table labels.csv"
)
def report(
    source: Annotated[Path, typer.Argument(help="A run's folder, or a certificate's JSON file.")],
    table: Annotated[
        Path | None, typer.Option(help="The labelled table of a certificate, to draw its risk.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; by default beside the source.")] = None,
    lang: Lang = "",
) -> None:
    """Write the report of a run or of a certificate again: one file, readable without a network."""
    from tolerate.records import Certificate
    from tolerate.report import write_certificate_report, write_report

    lang = speak(lang)
    if source.is_dir():
        summary = json.loads(_text(source / "summary.json", "a finished run"))
        print(write_report({**summary, "lang": lang}, out or source))
        return
    certificate = Certificate.loads(_text(source, "a certificate"))
    rows = _table_of(certificate, table) if table is not None else None
    target = out or source.with_suffix(".html")
    print(
        write_certificate_report(
            certificate,
            target,
            lang,
            scores=rows.scores if rows else None,
            losses=rows.losses if rows else None,
        )
    )


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as {what}: {error}") from None


def _table_of(certificate: Any, path: Path) -> Any:
    """The table that a certificate names, with the same columns in the same roles."""
    from tolerate import tables

    return tables.read(path, loss=_losses_of(certificate), **_columns_of(certificate))


def _losses_of(certificate: Any) -> list[str]:
    """The columns of losses that a certificate names."""
    several = [risk["name"] for risk in certificate.risks]
    return several or [certificate.names.get("loss", "loss")]


def _columns_of(certificate: Any) -> dict[str, str | None]:
    roles = ("score", "cluster", "slice", "weight")
    return {role: certificate.names.get(role) for role in roles}


@app.command(epilog="Example: tolerate verify runs/digits/certificate.json runs/digits/labels.parquet")
def verify(
    certificate: Annotated[
        str,
        typer.Argument(help="The certificate's JSON file; or a service's database, to replay its ledger."),
    ],
    table: Annotated[
        str | None,
        typer.Argument(help="The labelled table (or parts) that it rests on; of an audit the batch."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that count the parts of many files.")] = 1,
    ray: Annotated[bool, typer.Option("--ray", help="Count the parts as tasks of Ray.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="An audit's file of verdicts. By default beside the batch.")
    ] = None,
    score: Annotated[str | None, typer.Option(help="Column of scores that an audit withheld by.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Column of strategies, for the list that `compare --json` printed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute a certificate from its table, or a service's decisions from its ledger; exits with 1 if they differ."""
    from tolerate import stats
    from tolerate.records import Certificate

    if table is None:
        _verify_ledger(certificate, as_json)
        return
    text = _text(Path(certificate), "a certificate")
    if text.lstrip().startswith("["):
        _verify_compared(text, table, strategy, as_json)
        return
    promise = Certificate.loads(text)
    if promise.options.get("kind") == "audit":
        found = _verify_audit(promise, Path(table), state, score)
    else:
        with _rows(table, _losses_of(promise), _columns_of(promise), workers, ray) as rows:
            found = stats.verify(promise, rows)
    print(
        json.dumps({"holds": found.holds, "reasons": list(found.reasons)}, indent=1)
        if as_json
        else str(found)
    )
    if not found.holds:
        raise typer.Exit(1)


def _verify_audit(promise: Any, batch: Path, state: Path | None, score: str | None) -> Any:
    """An audit's certificate against the verdicts kept beside its batch."""
    from tolerate import stats, tables

    kept = state or batch.with_name(f"{batch.name}.audit.json")
    try:
        record = json.loads(_text(kept, "the verdicts of an audit; name the file with --state"))
    except ValueError as error:
        raise DataError(f"{kept} is damaged: {error}") from None
    scores = None if score is None else tables.read_numbers(batch, score)
    return stats.verify_audit(promise, record, scores=scores)


def _verify_compared(text: str, table: str, strategy: str | None, as_json: bool) -> None:
    """Each certificate of a comparison against its strategy's rows."""
    from tolerate import stats, tables
    from tolerate.records import Certificate

    if strategy is None:
        raise OptionError("this is a list of certificates, one a strategy; name its column with --strategy")
    try:
        told_of = [
            (str(row["strategy"]), Certificate.from_json(row["certificate"])) for row in json.loads(text)
        ]
        names = next(promise.names for _, promise in told_of if promise.names)
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise DataError(f"expected what `tolerate compare --json` printed: {error!r}") from None
    columns = {role: names.get(role) for role in ("score", "cluster")}
    parts, _ = tables.read_strategies(Path(table), strategy, None, loss=names.get("loss", "loss"), **columns)
    found = {}
    for name, promise in told_of:
        if name not in parts:
            raise DataError(f'{table} has no strategy "{name}" in column "{strategy}"')
        found[name] = stats.verify(promise, parts[name])
    if as_json:
        told = {name: {"holds": one.holds, "reasons": list(one.reasons)} for name, one in found.items()}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        print("\n".join(f"{name}: {one}" for name, one in found.items()))
    if not all(one.holds for one in found.values()):
        raise typer.Exit(1)


def _verify_ledger(database: str, as_json: bool) -> None:
    from tolerate.store import connect
    from tolerate.store.verify import verify as replay

    if database.endswith(".json"):
        raise OptionError(f"{database} looks like a certificate; name its table too, or a service's database")
    found = replay(connect(database, read_only=True))
    print(json.dumps(found.to_json(), indent=1) if as_json else str(found))
    if not found.holds:
        raise typer.Exit(1)


@app.command(
    epilog="Example: tolerate compare answers.csv --strategy model --loss wrong --score confidence -t 5% --review 2"
)
def compare(
    table: Annotated[Path, typer.Argument(help="Labelled items of all strategies, one row an item.")],
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", "-t", parser=share, metavar="SHARE", help="Largest acceptable risk: 2% or 0.02."
        ),
    ],
    strategy: Annotated[
        str | None, typer.Option(help="Column that names the strategy (model, prompt, ...).")
    ] = None,
    loss: Loss = "loss",
    score: Score = None,
    cluster: Cluster = None,
    item: Annotated[
        str | None, typer.Option(help="Column naming the item, where strategies answered the same ones.")
    ] = None,
    cascade: Annotated[
        list[str] | None, typer.Option(help="Strategies that ask one another: small,large. May be repeated.")
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of --strategy, a tier by its columns: NAME=LOSS,SCORE. The first one first."
        ),
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Column of what making the item cost. By default nothing.")
    ] = None,
    costs: Annotated[str, typer.Option(help="Costs of an item by strategy: small=1,large=20.")] = "",
    review: Annotated[float, typer.Option(help="Price of a person's look at one item.")] = 1.0,
    confidence: Confidence = 0.95,
    plan: Annotated[bool, typer.Option("--plan", help="Only say how many labels it takes.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the deal into design and test part.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the certificate of the cheapest to this file.")
    ] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Which way of doing the job is the cheapest? All the promises hold together, so one may choose.

    Exits with 1 if none of them may release anything.
    """
    from tolerate import comparison

    lang = speak(lang)
    asked = comparison.Asked(
        table=table,
        strategy=strategy,
        loss=loss,
        score=score,
        cluster=cluster,
        item=item,
        cascades=tuple(cascade or ()),
        tiers=tuple(tier or ()),
        cost=cost,
        costs=costs,
    )
    if plan:
        print("\n".join(comparison.plan_lines(asked, tolerance, confidence, lang)))
        return
    rows = comparison.compared(asked, tolerance=tolerance, confidence=confidence, review=review, seed=seed)
    if out is not None:
        from tolerate.folder import write_whole

        write_whole(out, rows[0].certificate.dumps().encode())
    print(comparison.as_json(rows) if as_json else "\n".join(comparison.lines(rows, lang)))
    if not any(row.certificate.proven for row in rows):
        raise typer.Exit(1)


@app.command(epilog="Example: tolerate audit batch.csv --tolerance 2% --plan   then the same without --plan")
def audit(
    table: Annotated[
        Path, typer.Argument(help="The finished batch: CSV, JSONL or Parquet, one row an item.")
    ],
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", "-t", parser=share, metavar="SHARE", help="Largest acceptable risk: 2% or 0.02."
        ),
    ],
    confidence: Confidence = 0.95,
    plan: Annotated[bool, typer.Option("--plan", help="Only say how many labels to expect.")] = False,
    score: Annotated[
        str | None, typer.Option(help="Column of scores, to withhold the worst if all cannot go.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="Column that holds the verdicts already.")] = None,
    show: Annotated[str, typer.Option(help="Columns to show, separated by commas. By default all.")] = "",
    expected: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help="Share of wrong items hoped for, with --power."),
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help="Give up early, yet prove such a batch so surely."),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="With --score: the largest part that so many labels can prove.")
    ] = None,
    start: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="With --budget: share of the batch tried first."),
    ] = 0.2,
    mend: Annotated[
        bool, typer.Option("--mend", help="What is found wrong is mended or taken out: fewer labels.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the order of labelling.")] = 0,
    second: Annotated[
        float | None,
        typer.Option(parser=share_or_all, metavar="SHARE", help="Share that a second person reads, blind."),
    ] = None,
    second_loss: Annotated[
        str | None, typer.Option(help="Column that holds the second person's verdicts already.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Give the verdicts at a page in the browser.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the verdicts. By default beside the table.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """May this batch go out? Look at as few items as possible, in an order drawn by lot, one key each.

    It ends the moment the batch is proven, or cannot be; q stops for now and the same command
    continues. Exits with 1 if nothing is proven.
    """
    from tolerate.ask import Batch, ask, keys, plan_lines, replay
    from tolerate.words import say_certificate

    lang = speak(lang)
    batch = Batch(
        table,
        state,
        score,
        tolerance=tolerance,
        confidence=confidence,
        seed=seed,
        expected=expected,
        power=power,
        budget=budget,
        start=start,
        mend=mend,
        second=second,
    )
    if plan:
        print("\n".join(plan_lines(batch.audit, lang)))
        return
    if loss is not None:
        replay(batch, loss, second_loss)
    elif page:
        from tolerate.review.batch import review_batch

        review_batch(batch, _names(show), lang=lang)
    else:
        with keys() as key:
            finished = ask(batch, _names(show), key, print, lang)
        if not finished:
            raise typer.Exit(1)
    certificate = batch.audit.certificate
    if out is not None:
        from tolerate.folder import write_whole

        write_whole(out, certificate.dumps().encode())
    print(certificate.dumps() if as_json else say_certificate(certificate, lang))
    if not certificate.proven:
        raise typer.Exit(1)


def _key() -> str:
    """One key from the terminal; where there is none, one character of the input, and q at its end."""
    return typer.getchar() if sys.stdin.isatty() else sys.stdin.read(1) or "q"


app.command(
    epilog="Example: tolerate serve --job support --certificate certificate.json --upstream http://localhost:8000/v1"
)(cli_serve.serve)
app.add_typer(career, name="career")


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
