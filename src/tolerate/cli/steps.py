"""A run's steps as commands of their own: train, generate, check, report."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tolerate.cli.certifying import columns_of, losses_of, text_of
from tolerate.cli.options import Json, Lang, duration, speak
from tolerate.console import Console


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
        summary = json.loads(text_of(source / "summary.json", "a finished run"))
        print(write_report({**summary, "lang": lang}, out or source))
        return
    certificate = Certificate.loads(text_of(source, "a certificate"))
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


def _table_of(certificate: Any, path: Path) -> Any:
    """The table that a certificate names, with the same columns in the same roles."""
    from tolerate import tables

    return tables.read(path, loss=losses_of(certificate), **columns_of(certificate))
