"""`tolerate certify` and `tolerate verify`: a table gets its certificate, and anyone recomputes it."""

import json
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tolerate.cli.options import Cluster, Confidence, Json, Lang, Score, Slice, Weight, choose_language, share
from tolerate.errors import DataError, OptionError

if TYPE_CHECKING:
    from tolerate.data.partition import Parts
    from tolerate.records import Certificate, Table
    from tolerate.stats.verification import Verification


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
        bool, typer.Option("--each-slice", help="Certify also a separate threshold for each slice.")
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
    from tolerate.messages.certificates import certificate_text, slice_lines
    from tolerate.records import Table
    from tolerate.stats.certify.threshold import certify
    from tolerate.stats.monitor.drift import with_scores

    lang = choose_language(lang)
    tolerances = _tolerances(loss or ["loss"], tolerance)
    columns = {"score": score, "cluster": cluster, "slice": slice, "weight": weight}
    with _rows(table, list(tolerances), columns, workers, ray) as rows:
        certificate = certify(
            rows,
            tolerance=tolerances if len(tolerances) > 1 else next(iter(tolerances.values())),
            confidence=confidence,
            each_slice=each_slice,
        )
        if out is not None and isinstance(rows, Table):  # a service compares its scores with these
            certificate = with_scores(certificate, rows.scores, rows.clusters, rows.weights)
    if out is not None:
        from tolerate.base.files import write_whole

        write_whole(out, certificate.dumps().encode())
    lines = [certificate_text(certificate, lang), *slice_lines(certificate, lang)]
    print(certificate.dumps() if as_json else "\n".join(lines))
    if not certificate.proven:
        raise typer.Exit(1)


def verify(
    certificate: Annotated[
        str,
        typer.Argument(help="The certificate's JSON file; or a service's database, to replay its ledger."),
    ],
    table: Annotated[
        str | None,
        typer.Argument(help="The labelled table (or parts) of the certificate; for an audit the batch."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that count the parts of many files.")] = 1,
    ray: Annotated[bool, typer.Option("--ray", help="Count the parts as tasks of Ray.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="File of the verdicts of an audit; by default next to the batch.")
    ] = None,
    score: Annotated[
        str | None, typer.Option(help="Column of scores by which an audit withheld items.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Column of strategies, for the list that `compare --json` printed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute a certificate from its table, or a service's decisions from its ledger; exits with 1 if they differ."""
    from tolerate.records import Certificate
    from tolerate.stats.verification import verify

    if table is None:
        _verify_ledger(certificate, as_json)
        return
    text = text_of(Path(certificate), "a certificate")
    if text.lstrip().startswith("["):
        _verify_compared(text, table, strategy, as_json)
        return
    certified = Certificate.loads(text)
    if certified.options.get("kind") == "audit":
        verification = _verify_audit(certified, Path(table), state, score)
    else:
        with _rows(table, losses_of(certified), columns_of(certified), workers, ray) as rows:
            verification = verify(certified, rows)
    print(
        json.dumps({"holds": verification.holds, "reasons": list(verification.reasons)}, indent=1)
        if as_json
        else str(verification)
    )
    if not verification.holds:
        raise typer.Exit(1)


def _verify_audit(
    certificate: "Certificate", batch: Path, state: Path | None, score: str | None
) -> "Verification":
    """An audit's certificate against the verdicts kept beside its batch."""
    from tolerate.data import tables
    from tolerate.stats.verification import verify_audit

    state_file = state or batch.with_name(f"{batch.name}.audit.json")
    try:
        record = json.loads(text_of(state_file, "the verdicts of an audit; name the file with --state"))
    except ValueError as error:
        raise DataError(f"{state_file} is damaged: {error}") from None
    scores = None if score is None else tables.read_numbers(batch, score)
    return verify_audit(certificate, record, scores=scores)


def _verify_compared(text: str, table: str, strategy: str | None, as_json: bool) -> None:
    """Each certificate of a comparison against its strategy's rows."""
    from tolerate.data import tables
    from tolerate.records import Certificate
    from tolerate.stats.verification import verify

    if strategy is None:
        raise OptionError("this is a list of certificates, one a strategy; name its column with --strategy")
    try:
        certificates = [
            (str(row["strategy"]), Certificate.from_json(row["certificate"])) for row in json.loads(text)
        ]
        names = next(certificate.names for _, certificate in certificates if certificate.names)
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise DataError(f"expected what `tolerate compare --json` printed: {error!r}") from None
    columns = {role: names.get(role) for role in ("score", "cluster")}
    parts, _ = tables.read_strategies(Path(table), strategy, None, loss=names.get("loss", "loss"), **columns)
    verifications = {}
    for name, certificate in certificates:
        if name not in parts:
            raise DataError(f'{table} has no strategy "{name}" in column "{strategy}"')
        verifications[name] = verify(certificate, parts[name])
    if as_json:
        report = {
            name: {"holds": verification.holds, "reasons": list(verification.reasons)}
            for name, verification in verifications.items()
        }
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        print("\n".join(f"{name}: {verification}" for name, verification in verifications.items()))
    if not all(verification.holds for verification in verifications.values()):
        raise typer.Exit(1)


def _verify_ledger(database: str, as_json: bool) -> None:
    from tolerate.store import open_readonly
    from tolerate.store.verify import verify as replay

    if database.endswith(".json"):
        raise OptionError(f"{database} looks like a certificate; name its table too, or a service's database")
    with closing(open_readonly(database)) as db:
        verification = replay(db)
    print(json.dumps(verification.to_json(), indent=1) if as_json else str(verification))
    if not verification.holds:
        raise typer.Exit(1)


def _tolerances(losses: list[str], tolerance: float | None) -> dict[str, float]:
    """The tolerance of each column of losses: its own, written wrong=2%, or the one for all.

    >>> _tolerances(["wrong", "harmful=0.1%"], 0.02)
    {'wrong': 0.02, 'harmful': 0.001}
    """
    tolerances: dict[str, float] = {}
    for text in losses:
        name, equals, written = text.rpartition("=")
        name, limit = (name, share(written)) if equals and name else (text, tolerance)
        if limit is None:
            raise OptionError(f'no tolerance for "{name}"; give -t 2%, or --loss {name}=2%')
        if name in tolerances:
            raise OptionError(f'the loss "{name}" is named twice; name each column once')
        tolerances[name] = limit
    return tolerances


def _rows(
    location: str, losses: list[str], columns: dict[str, str | None], workers: int = 1, ray: bool = False
) -> "AbstractContextManager[Table | Parts]":
    """A table in memory, or a source in many files; either in a `with` block."""
    from tolerate.data import tables

    several_files = Path(location).is_dir() or any(sign in location for sign in "*?[")
    if not (several_files or ray or workers > 1):
        return nullcontext(tables.read(location, loss=losses, **columns))
    for role in ("cluster", "weight"):
        if columns.get(role):
            raise OptionError(
                f"--{role} needs the rows themselves, and parts are only counted; put them into one file"
            )
    from tolerate.data.partition import parts

    return parts(
        location,
        loss=losses,
        score=columns.get("score"),
        slice=columns.get("slice"),
        workers=workers,
        ray=ray,
    )


def losses_of(certificate: "Certificate") -> list[str]:
    """The columns of losses that a certificate names."""
    names = [risk["name"] for risk in certificate.risks]
    return names or [certificate.names.get("loss", "loss")]


def columns_of(certificate: "Certificate") -> dict[str, str | None]:
    roles = ("score", "cluster", "slice", "weight")
    return {role: certificate.names.get(role) for role in roles}


def text_of(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as {what}: {error}") from None
