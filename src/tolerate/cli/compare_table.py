"""Compares the strategies of a table in a file, and formats the result."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tolerate.data import tables
from tolerate.errors import OptionError
from tolerate.records import Table
from tolerate.stats.compare.cascade import answer_line
from tolerate.stats.compare.compared import ComparedStrategy
from tolerate.stats.compare.sample_size import labels_needed, labels_needed_lines
from tolerate.stats.compare.strategies import compare


@dataclass(frozen=True)
class ComparisonRequest:
    """The table to compare, with one row an item and strategy or with columns for every tier, and its columns."""

    table: Path
    strategy: str | None = None
    loss: str = "loss"
    score: str | None = None
    cluster: str | None = None
    item: str | None = None
    cascades: tuple[str, ...] = ()  # "small,large"
    tiers: tuple[str, ...] = ()  # "small=wrong_small,score_small"
    cost: str | None = None
    costs: str = ""  # "small=1,large=20"


def compare_strategies(
    request: ComparisonRequest, *, tolerance: float, confidence: float, review: float, seed: int = 0
) -> list[ComparedStrategy]:
    """The strategies and cascades of a table, the cheapest first."""
    parts, costs = _read_parts(request)
    chains = [_names(chain) for chain in request.cascades]
    if request.tiers and len(parts) > 1:
        chains.append(tuple(parts))
    return compare(
        parts,
        {**costs, **_costs(request.costs)},
        items=_items(request, parts),
        cascades=chains,
        tolerance=tolerance,
        confidence=confidence,
        review=review,
        seed=seed,
    )


def plan_lines(
    request: ComparisonRequest, tolerance: float, confidence: float, lang: str = "en"
) -> list[str]:
    """The number of labels needed for the strategies of the table, as lines of text."""
    parts, _ = _read_parts(request)
    return labels_needed_lines(labels_needed(len(parts), tolerance, confidence), lang)


def lines(rows: Sequence[ComparedStrategy], lang: str = "en") -> list[str]:
    """The table's lines, one a strategy: its name, its cost of an accepted item, and what it may release."""
    width = max(len(row.name) for row in rows)
    return [f"{row.name:{width}}  {row.cost:10.4g}  {answer_line(row.certificate, lang)}" for row in rows]


def as_json(rows: Sequence[ComparedStrategy]) -> str:
    """The rows as JSON text."""
    entries = [
        {"strategy": row.name, "cost": row.cost, "certificate": row.certificate.to_json()} for row in rows
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False)


def _read_parts(request: ComparisonRequest) -> tuple[dict[str, Table], dict[str, float]]:
    if (request.strategy is None) == (not request.tiers):
        raise OptionError(
            "say either --strategy COLUMN (a row an item and strategy) or --tier NAME=LOSS,SCORE (a row an item)"
        )
    if request.strategy is None:
        if request.cost is not None:
            raise OptionError("with --tier give costs by name: --costs small=1,large=20")
        parts = tables.read_tiers(request.table, dict(map(_tier, request.tiers)), request.cluster)
        return parts, dict.fromkeys(parts, 0.0)
    roles = {"loss": request.loss, "score": request.score, "cluster": request.cluster}
    return tables.read_strategies(request.table, request.strategy, request.cost, **roles)


def _items(request: ComparisonRequest, parts: dict[str, Table]) -> dict[str, Any] | None:
    """The item of each row by strategy; None if no column names the items."""
    if request.strategy is None:
        return {name: range(len(part)) for name, part in parts.items()}
    column = request.item or request.cluster
    return None if column is None else tables.read_shown(request.table, request.strategy, column)


def _tier(text: str) -> tuple[str, tuple[str, str | None]]:
    """Parse a tier written as NAME=LOSS,SCORE.

    >>> _tier("small=wrong_small,score_small"), _tier("large=wrong_large")
    (('small', ('wrong_small', 'score_small')), ('large', ('wrong_large', None)))
    """
    name, _, columns = text.partition("=")
    column_names = _names(columns)
    if not name or not 1 <= len(column_names) <= 2:
        raise OptionError(
            f'"{text}" names no tier; write NAME=LOSS,SCORE with the columns of its loss and score'
        )
    return name.strip(), (column_names[0], column_names[1] if len(column_names) == 2 else None)


def _costs(text: str) -> dict[str, float]:
    """Parse costs written as small=1,large=20.

    >>> _costs("small=1, large=20")
    {'small': 1.0, 'large': 20.0}
    """
    costs = {}
    for part in _names(text):
        name, _, price = part.rpartition("=")
        try:
            costs[name] = float(price)
        except ValueError:
            raise OptionError(f'"{part}" is no cost; write --costs small=1,large=20') from None
    return costs


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
