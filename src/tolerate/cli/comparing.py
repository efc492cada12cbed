"""`tolerate compare`: the cheapest way of doing a job, every promise included."""

from pathlib import Path
from typing import Annotated

import typer

from tolerate.cli.options import Cluster, Confidence, Json, Lang, Loss, Score, choose_language, share


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
        list[str] | None, typer.Option(help="A cascade of strategies: small,large. May be repeated.")
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of --strategy, a tier by its columns: NAME=LOSS,SCORE. The first one first."
        ),
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Column of the cost of generating the item; by default 0.")
    ] = None,
    costs: Annotated[str, typer.Option(help="Costs of an item by strategy: small=1,large=20.")] = "",
    review: Annotated[float, typer.Option(help="Price of a person's review of one item.")] = 1.0,
    confidence: Confidence = 0.95,
    plan: Annotated[bool, typer.Option("--plan", help="Print only the number of labels needed.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split into design part and test part.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the certificate of the cheapest to this file.")
    ] = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Find the cheapest strategy at a tolerance; all certificates hold together, so that any may be chosen.

    Exits with 1 if none of them may release anything.
    """
    from tolerate.cli import compare_table

    lang = choose_language(lang)
    request = compare_table.ComparisonRequest(
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
        print("\n".join(compare_table.plan_lines(request, tolerance, confidence, lang)))
        return
    rows = compare_table.compare_strategies(
        request, tolerance=tolerance, confidence=confidence, review=review, seed=seed
    )
    if out is not None:
        from tolerate.base.files import write_whole

        write_whole(out, rows[0].certificate.dumps().encode())
    print(compare_table.as_json(rows) if as_json else "\n".join(compare_table.lines(rows, lang)))
    if not any(row.certificate.proven for row in rows):
        raise typer.Exit(1)
