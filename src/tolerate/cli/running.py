"""`tolerate run` and the book of jobs: from data to a certified release."""

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tolerate.cli.options import (
    Guide,
    Json,
    Lang,
    Port,
    Reviewers,
    choose_language,
    duration,
    names,
    reviewers_from,
    share,
)
from tolerate.cli.progress import Console


def run(
    job: Annotated[
        str, typer.Argument(help="Name of a built-in job (see `tolerate jobs`) or package.module:attribute.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="Data of the job: a folder or file; digits needs none.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. By default runs/JOB.")] = None,
    models: Annotated[
        str,
        typer.Option(
            help="Models by commas: names, hf:NAME_OR_FOLDER, own:FOLDER, openai:MODEL@URL. By default the job's."
        ),
    ] = "",
    refine: Annotated[
        str,
        typer.Option(
            help="Ways to refine, separated by commas, each of parts joined by +: plain, best-of-N or vote-of-N, then "
            "no-copies, and for texts rules, repair, masked, by-SCORE."
        ),
    ] = "",
    scores: Annotated[
        str,
        typer.Option(
            help="Scores that texts are released by, separated by commas, each a further line of the map: own, mean, "
            "least, exact, votes, alike, round-trip, judge."
        ),
    ] = "",
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
        bool, typer.Option("--review", help="People give the verdicts, at the review desk.")
    ] = False,
    reviews: Annotated[int, typer.Option(help="Items that are judged under --review.")] = 300,
    reviewers: Reviewers = "",
    reviewers_per_item: Annotated[
        int, typer.Option("--each", help="People who judge each item, blind to one another.")
    ] = 1,
    guide: Guide = None,
    port: Port = 0,
    judge: Annotated[
        str,
        typer.Option(
            help="A model that judges, openai:MODEL@URL: the score judge; in headlines also until a person does."
        ),
    ] = "",
    rubric: Annotated[Path | None, typer.Option(help="A text file: what the score judge goes by.")] = None,
    embed: Annotated[
        str,
        typer.Option(help="What the score alike compares by: letters, hf:NAME-OR-FOLDER, openai:MODEL@URL."),
    ] = "",
    dedupe: Annotated[
        bool, typer.Option("--dedupe", help="Drop near-duplicates among the texts to learn from.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the folder's run and start again.")] = False,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Run a job from data to a certified release, with a report.

    Killed at any moment, the same command continues and ends with the same result; on a finished
    folder it does nothing.
    """
    from tolerate.jobs import job as find
    from tolerate.jobs.texts.options import TextOptions
    from tolerate.models.pretrained.embedders import checked_embedder
    from tolerate.runs.options import RunOptions
    from tolerate.runs.pipeline import run as run_job
    from tolerate.runs.plan import plan_run
    from tolerate.service.local import ask_at_desk

    lang = choose_language(lang)
    chosen = find(job)
    options = RunOptions(
        data=data,
        models=names(models),
        refine=names(refine),
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
        modality=TextOptions(judge, rubric, names(scores), checked_embedder(embed), dedupe),
    )
    plan = plan_run(chosen, options)
    folder = out or Path("runs") / chosen.name
    if fresh:
        from tolerate.base.folder import RunFolder

        RunFolder(folder).clear()
    with Console(len(plan.models) + 3, folder / "log.txt", quiet=as_json) as console:
        desk = partial(
            ask_at_desk,
            options=reviewers_from(reviewers, guide, lang, console.call, reviewers_per_item, port),
        )
        summary = run_job(chosen, folder, options, console, "tolerate " + shlex.join(sys.argv[1:]), desk)
    if as_json:
        print(json.dumps([point.to_json() for point in summary.best], indent=1))
        return
    from tolerate.report.terminal import closing_line, print_map

    print_map(summary, lang)
    print(closing_line(summary, lang, folder / "report.html"))


def jobs(as_json: Json = False, lang: Lang = "") -> None:
    """List the book of jobs: what each makes, at which tolerance, and how it is run."""
    from tolerate.jobs import JOBS
    from tolerate.jobs import job as find
    from tolerate.messages.numbers import at_most

    lang = choose_language(lang)
    book = [find(name) for name in JOBS]
    if as_json:
        print(json.dumps([job.to_json() for job in book], indent=1, ensure_ascii=False))
        return
    for job in book:
        print(f"{job.name:10} {at_most(job.tolerance):>5}  {job.title[lang]}\n{'':17} {job.example}")
