"""A comparison from a table in a file: which columns hold what, the rows that come out, and how they are said."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tolerate.data import tables
from tolerate.errors import OptionError
from tolerate.records import Table
from tolerate.stats.compare.cascade import brief_of
from tolerate.stats.compare.compared import Compared
from tolerate.stats.compare.sample_size import needs, say_needs
from tolerate.stats.compare.strategies import compare


@dataclass(frozen=True)
class Asked:
    """What the user named: a table with a row an item and strategy, or with columns of every tier."""

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


def compared(
    asked: Asked, *, tolerance: float, confidence: float, review: float, seed: int = 0
) -> list[Compared]:
    """The strategies and cascades of a table, the cheapest first."""
    parts, costs = _parts(asked)
    chains = [_names(chain) for chain in asked.cascades]
    if asked.tiers and len(parts) > 1:
        chains.append(tuple(parts))
    return compare(
        parts,
        {**costs, **_costs(asked.costs)},
        items=_items(asked, parts),
        cascades=chains,
        tolerance=tolerance,
        confidence=confidence,
        review=review,
        seed=seed,
    )


def plan_lines(asked: Asked, tolerance: float, confidence: float, lang: str = "en") -> list[str]:
    """How many labels it takes, for as many strategies as the table has."""
    parts, _ = _parts(asked)
    return say_needs(needs(len(parts), tolerance, confidence), lang)


def lines(rows: Sequence[Compared], lang: str = "en") -> list[str]:
    """A line a strategy: its name, what an accepted item costs by it, and what it may release."""
    width = max(len(row.name) for row in rows)
    return [f"{row.name:{width}}  {row.cost:10.4g}  {brief_of(row.certificate, lang)}" for row in rows]


def as_json(rows: Sequence[Compared]) -> str:
    """The rows as JSON text."""
    found = [
        {"strategy": row.name, "cost": row.cost, "certificate": row.certificate.to_json()} for row in rows
    ]
    return json.dumps(found, indent=1, ensure_ascii=False)


def _parts(asked: Asked) -> tuple[dict[str, Table], dict[str, float]]:
    if (asked.strategy is None) == (not asked.tiers):
        raise OptionError(
            "say either --strategy COLUMN (a row an item and strategy) or --tier NAME=LOSS,SCORE (a row an item)"
        )
    if asked.strategy is None:
        if asked.cost is not None:
            raise OptionError("with --tier give costs by name: --costs small=1,large=20")
        parts = tables.read_tiers(asked.table, dict(map(_tier, asked.tiers)), asked.cluster)
        return parts, dict.fromkeys(parts, 0.0)
    roles = {"loss": asked.loss, "score": asked.score, "cluster": asked.cluster}
    return tables.read_strategies(asked.table, asked.strategy, asked.cost, **roles)


def _items(asked: Asked, parts: dict[str, Table]) -> dict[str, Any] | None:
    """The items of each strategy's rows; None where nothing is known of them."""
    if asked.strategy is None:
        return {name: range(len(part)) for name, part in parts.items()}
    column = asked.item or asked.cluster
    return None if column is None else tables.read_shown(asked.table, asked.strategy, column)


def _tier(text: str) -> tuple[str, tuple[str, str | None]]:
    """A tier by its columns.

    >>> _tier("small=wrong_small,score_small"), _tier("large=wrong_large")
    (('small', ('wrong_small', 'score_small')), ('large', ('wrong_large', None)))
    """
    name, _, columns = text.partition("=")
    named = _names(columns)
    if not name or not 1 <= len(named) <= 2:
        raise OptionError(
            f'"{text}" names no tier; write NAME=LOSS,SCORE with the columns of its loss and score'
        )
    return name.strip(), (named[0], named[1] if len(named) == 2 else None)


def _costs(text: str) -> dict[str, float]:
    """Costs by strategy.

    >>> _costs("small=1, large=20")
    {'small': 1.0, 'large': 20.0}
    """
    found = {}
    for part in _names(text):
        name, _, price = part.rpartition("=")
        try:
            found[name] = float(price)
        except ValueError:
            raise OptionError(f'"{part}" is no cost; write --costs small=1,large=20') from None
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
