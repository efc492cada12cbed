"""A run's steps as commands of their own: train, generate, check, report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tolerate.cli.certifying import columns_of, losses_of, text_of
from tolerate.cli.options import Json, Lang, choose_language, duration
from tolerate.cli.progress import Console

if TYPE_CHECKING:
    from tolerate.jobs.generate import TextRow
    from tolerate.records import Certificate, Table


def train(
    model: Annotated[
        str,
        typer.Argument(
            help="A model of the zoo, hf:NAME_OR_FOLDER#lora, own:FOLDER#lora, or package.module:attribute."
        ),
    ],
    job: Annotated[str, typer.Option(help="The job whose pictures or texts it learns from.")] = "digits",
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
    from tolerate.base.workers import is_first_process
    from tolerate.jobs import job as find
    from tolerate.messages.numbers import percent
    from tolerate.runs.options import RunOptions
    from tolerate.runs.steps import train_model

    folder = out or Path(model.replace(":", "."))
    options = RunOptions(data=data, budget=budget, steps=steps, seed=seed, device=device, board=board)
    with Console(1, quiet=as_json or not is_first_process()) as console:
        trained = train_model(find(job), model, options, folder, console)
    if not is_first_process():
        return
    if as_json:
        print(json.dumps(trained.to_json(), indent=1, ensure_ascii=False))
        return
    report, figures = trained.report, trained.report.figures
    print(
        f"{report.title}: {figures['steps']} steps in {figures['seconds']:.1f} s, {figures['parameters']:,} parameters"
    )
    for finding in report.findings:
        print(f"! {finding.what}\n  try: {finding.advice}")
    learning, parameters = figures.get("learning"), figures["parameters"]
    if learning is not None and parameters is not None and learning < parameters:
        print(f"{learning:,} of them learned: {percent(learning / parameters)}")
    print(
        f"next: tolerate generate {folder} --count 100 --out {'drawings' if trained.classes else 'texts.csv'}"
    )


def generate(
    model: Annotated[
        str, typer.Argument(help="A folder that `tolerate train` wrote, or hf:NAME_OR_FOLDER for texts.")
    ],
    ask: Annotated[str | None, typer.Option(help="What to draw; by default every class in turn.")] = None,
    count: Annotated[
        int, typer.Option(help="How many items; of several prompts each in turn. 共生成几项")
    ] = 100,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures; for texts a table (.csv, .jsonl, .parquet). 文本写入此表"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    prompt: Annotated[
        list[str] | None, typer.Option(help="What a text answers or continues; may be repeated. 提示")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A table with the column prompt, or lines of text. 提示文件")
    ] = None,
    system: Annotated[
        str, typer.Option(help="What a pretrained model is told before each prompt. 系统提示")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(help="Data of the writer's job, whose requests are the prompts.")
    ] = None,
    decode: Annotated[
        str,
        typer.Option(
            help="How texts are decoded: limit, temperature, top_k, top_p, min_p, beams, contrast, such as "
            "temperature=0.8,top_p=0.95. 解码方式"
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Generate items with a model: pictures, or texts with the log-probabilities of their tokens."""
    from tolerate.jobs import generate as texts
    from tolerate.jobs.pictures.generate import generate_pictures

    if texts.is_writer(model):
        all_prompts = [*(prompt or []), *(texts.read_prompts(prompts) if prompts else [])]
        decoding = texts.parse_decoding(decode)
        request = texts.WriterRequest(model, all_prompts, count, seed, system, data, decoding)
        with Console(1, quiet=as_json) as console:
            rows = texts.generate_texts(request, console)
        _print_texts(rows, out, as_json)
        return
    out = out or Path("drawings")
    with Console(1) as console:
        drawn = generate_pictures(Path(model), ask, count, out, seed, console)
    print(f"{drawn} items in {out}\nnext: tolerate check {out} --out labels.csv")


def _print_texts(rows: "Sequence[TextRow]", out: Path | None, as_json: bool) -> None:
    """Write texts to a table, or print them."""
    from tolerate.jobs.generate import write_texts

    if out is not None:
        write_texts(rows, out)
        print(f"{len(rows)} texts in {out}")
    elif as_json:
        print("\n".join(json.dumps(row.to_json(), ensure_ascii=False) for row in rows))
    else:
        for row in rows:
            print(f"{row.mean:8.3f} {row.least:8.3f}  {row.text}")


def check(
    items: Annotated[Path, typer.Argument(help="A folder of items with items.csv (columns item, asked).")],
    job: Annotated[str, typer.Option(help="The job whose reader checks and whose judge scores.")] = "digits",
    data: Annotated[Path | None, typer.Option(help="Data of the job.")] = None,
    out: Annotated[Path, typer.Option(help="The labelled table to write.")] = Path("labels.csv"),
    seed: Annotated[int, typer.Option(help="Seed of the split of the real pictures.")] = 0,
) -> None:
    """Check items by the job's reader, score them by its judge, and write a labelled table."""
    from tolerate.jobs import job as find
    from tolerate.messages.numbers import percent
    from tolerate.runs.options import RunOptions
    from tolerate.runs.steps import check_items

    with Console(2) as console:
        done = check_items(find(job), items, RunOptions(data=data, seed=seed), out, console)
    print(f"{done.items} items, {done.wrong} wrong ({percent(done.wrong / done.items)}): {done.path}")
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

    lang = choose_language(lang)
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


def _table_of(certificate: "Certificate", path: Path) -> "Table":
    """The table that a certificate names, with the same columns in the same roles."""
    from tolerate.data import tables

    return tables.read(path, loss=losses_of(certificate), **columns_of(certificate))
