"""`tolerate audit`: may this finished batch go out?"""

from pathlib import Path
from typing import Annotated

import typer

from tolerate.cli.options import (
    Confidence,
    Guide,
    Json,
    Lang,
    Port,
    Reviewers,
    names,
    share,
    share_or_all,
    sitters,
    speak,
    tell,
)


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
    page: Annotated[
        bool, typer.Option("--page", help="Give the verdicts at the review desk, in the browser.")
    ] = False,
    reviewers: Reviewers = "",
    guide: Guide = None,
    port: Port = 0,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the verdicts. By default beside the table.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """May this batch go out? Look at as few items as possible, in an order drawn by lot, one key each.

    It ends the moment the batch is proven, or cannot be; q stops for now and the same command
    continues, at the terminal or (--page) at the desk. Exits with 1 if nothing is proven.
    """
    from tolerate.messages.certificates import certificate_text
    from tolerate.runs.audit_session import Batch, ask, keys, plan_lines, replay

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
        from tolerate.service.local import audit_at_desk

        audit_at_desk(batch, names(show), sitters(reviewers, guide, lang, tell, port=port))
    else:
        with keys() as key:
            finished = ask(batch, names(show), key, print, lang)
        if not finished:
            raise typer.Exit(1)
    certificate = batch.audit.certificate
    if out is not None:
        from tolerate.base.files import write_whole

        write_whole(out, certificate.dumps().encode())
    print(certificate.dumps() if as_json else certificate_text(certificate, lang))
    if not certificate.proven:
        raise typer.Exit(1)
