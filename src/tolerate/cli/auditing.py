"""The command `tolerate audit`: label a finished batch until it is certified or cannot be."""

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
    choose_language,
    names,
    print_to_stderr,
    reviewers_from,
    share,
    share_or_all,
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
    plan: Annotated[bool, typer.Option("--plan", help="Print only the expected number of labels.")] = False,
    score: Annotated[
        str | None,
        typer.Option(help="Column of scores; the worst items are withheld if not all can be released."),
    ] = None,
    loss: Annotated[str | None, typer.Option(help="Column of existing verdicts.")] = None,
    show: Annotated[str, typer.Option(help="Columns to show, separated by commas. By default all.")] = "",
    expected: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help="With --power: expected share of wrong items."),
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="Allow stopping early; a batch with --expected errors is still certified with this probability.",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(help="With --score: certify the largest part that this number of labels can prove."),
    ] = None,
    start: Annotated[
        float,
        typer.Option(
            parser=share, metavar="SHARE", help="With --budget: share of the batch that is tried first."
        ),
    ] = 0.2,
    mend: Annotated[
        bool, typer.Option("--mend", help="Wrong items are corrected or removed, which needs fewer labels.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the order of labelling.")] = 0,
    second: Annotated[
        float | None,
        typer.Option(
            parser=share_or_all, metavar="SHARE", help="Share of items that a second person reviews blind."
        ),
    ] = None,
    second_loss: Annotated[
        str | None, typer.Option(help="Column of existing verdicts of the second person.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Give the verdicts at the review desk, in the browser.")
    ] = False,
    reviewers: Reviewers = "",
    guide: Guide = None,
    port: Port = 0,
    state: Annotated[
        Path | None, typer.Option(help="File of the verdicts; by default next to the table.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Audit a finished batch: label as few items as possible, in random order, one key each.

    It ends as soon as the batch is certified or cannot be; q stops for now and the same command
    continues, at the terminal or (--page) at the desk. Exits with 1 if nothing is proven.
    """
    from tolerate.messages.certificates import certificate_text
    from tolerate.runs.audit_session import (
        AuditedBatch,
        BatchAuditOptions,
        audit_at_terminal,
        audit_plan_lines,
        replay_columns,
        terminal_keys,
    )

    lang = choose_language(lang)
    options = BatchAuditOptions(
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
    batch = AuditedBatch(table, options, state, score)
    if plan:
        print("\n".join(audit_plan_lines(batch.audit, lang)))
        return
    if loss is not None:
        replay_columns(batch, loss, second_loss)
    elif page:
        from tolerate.service.local import audit_at_desk

        audit_at_desk(batch, names(show), reviewers_from(reviewers, guide, lang, print_to_stderr, port=port))
    else:
        with terminal_keys() as key:
            finished = audit_at_terminal(batch, names(show), key, print, lang)
        if not finished:
            raise typer.Exit(1)
    certificate = batch.audit.certificate
    if out is not None:
        from tolerate.base.files import write_whole

        write_whole(out, certificate.dumps().encode())
    print(certificate.dumps() if as_json else certificate_text(certificate, lang))
    if not certificate.proven:
        raise typer.Exit(1)
