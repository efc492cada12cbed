"""Which way of doing the job is the cheapest? Many strategies, thresholds and cascades; one promise for the one chosen.

With probability at least the confidence, *all* certificates returned hold together, so the cheapest may be chosen
after looking at them. Two roads lead there, and each is given half of 1 - confidence where both are open:

- **Shares** (Bonferroni; Holm where each strategy is one test): each strategy is certified (`threshold.py`) with an
  equal share. The strategies may share items and depend on each other in any way. Best for a few strategies, or for
  many that are nearly as good.
- **A plan** (`walked.py`): a design part of the items chooses strategies, thresholds and the order of the tests;
  the rest tests them, and a test that passes costs nothing of the level. Best for many strategies of which most
  are hopeless, and the road for cascades. It needs to know which rows show the same item.

A labelled table exists already; where labels are still to be made, `race.py` needs far fewer of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError, OptionError, hint
from tolerate.messages.catalogue import message
from tolerate.records import Certificate, Floats, Table
from tolerate.stats.bounds import binomial_p
from tolerate.stats.certify.ranked import bottomed
from tolerate.stats.certify.samples import Sample, codes, share
from tolerate.stats.certify.threshold import certify
from tolerate.stats.compare.cascade import Cascade, promise, tiers
from tolerate.stats.compare.compared import Compared, cheapest_first, checked_costs
from tolerate.stats.compare.design_split import Passed, walk_ways
from tolerate.stats.compare.rules import Way, cost_of, outcomes

FEW = 3  # strategies: so few are certified by shares alone
METHOD = "rules chosen on a design part, tested on the rest, stakes returned (arXiv 2110.01052, 1910.04900)"
BETWEEN = " > "  # in the name of a cascade
Grid = Mapping[str, ArrayLike] | ArrayLike  # a column a strategy, by name or as [items, strategies]


@dataclass(frozen=True)
class Rows:
    """One strategy's labelled rows: which items they show, and what was sampled together."""

    sample: Sample
    items: NDArray[np.int64]  # [n] codes common to all strategies
    units: NDArray[np.int64]  # [n]


def compare(
    strategies: Mapping[str, Table] | None = None,
    costs: Mapping[str, float] | Sequence[float] | None = None,
    *,
    losses: Grid | None = None,
    scores: Grid | None = None,
    clusters: ArrayLike | None = None,
    items: Mapping[str, ArrayLike] | None = None,
    cascades: Sequence[Sequence[str]] = (),
    tolerance: float,
    confidence: float = 0.95,
    review: float,
    seed: int = 0,
    largest_cluster: float | None = None,
) -> list[Compared]:
    """All strategies with their certificates, the cheapest first; all the promises hold together.

    strategies: labelled items of each, by name. Or losses=, scores=: [n] of each strategy by name, or [n, k], all on
        the same n items; clusters: [n].
    costs: of making one item. review: of a person's look at one item; what is not released is reviewed, so an
        accepted item costs `cost + (1 - coverage) * review`, and where nothing is released, `review` alone.
    items: by strategy, the name of the item that each row shows; clusters in the tables must then be common codes.
        Without it nothing is known of what the strategies share, and only equal shares of the level are valid.
    cascades: chains of strategies such as ("small", "large"): each asks the next where its score is too low.
    seed: of the deal into design and test part. largest_cluster: as in `certify`.

    >>> tables = {"cheap": Table(losses=np.arange(500) % 4 == 0), "dear": Table(losses=np.zeros(500))}
    >>> best, _ = compare(tables, {"cheap": 0.1, "dear": 0.5}, tolerance=0.05, review=5.0)
    >>> best.name, best.cost
    ('dear', 0.5)
    >>> rng = np.random.default_rng(0)
    >>> sure = rng.random(2000)
    >>> wrong = {"small": rng.random(2000) > sure**0.2, "large": rng.random(2000) < 0.02}
    >>> best, *_ = compare(losses=wrong, scores={"small": sure, "large": np.ones(2000)}, cascades=[("small", "large")],
    ...                    costs={"small": 1, "large": 10}, tolerance=0.05, review=50)
    >>> best.name, best.certificate.decide(0.99).value, best.certificate.decide(0.1).value
    ('small > large', 'release', 'escalate')
    """
    tables, items = _tables(strategies, losses, scores, clusters, items)
    prices = dict(
        zip(tables, checked_costs(_named(costs, list(tables)), list(tables), review).tolist(), strict=True)
    )
    tolerance, confidence = share(tolerance, "tolerance", 0.05), share(confidence, "confidence", 0.95)
    chains = [tuple(map(str, chain)) for chain in cascades]
    planned = items is not None and (len(tables) > FEW or bool(chains))
    if chains and items is None:
        raise OptionError(
            "cascades need to know which rows show the same item; give items= (--item), or losses= as columns"
        )
    roads = 2 if planned else 1
    found = {
        name: certify(
            tables[name],
            tolerance=tolerance,
            confidence=confidence,
            comparisons=count * roads,
            seed=seed,
            largest_cluster=largest_cluster,
        )
        for name, count in _shares(tables, tolerance, (1 - confidence) / roads).items()
    }
    rows = [Compared(name, made, _cost(made, prices[name], review)) for name, made in found.items()]
    if planned:
        assert items is not None
        plan = _plan(
            _known(tables, items), prices, chains, tolerance, confidence, review, seed, largest_cluster
        )
        better = [min(pair, key=lambda row: row.cost) for pair in zip(rows, plan, strict=False)]
        rows = [*better, *plan[len(rows) :]]
    return cheapest_first(rows)


def _cost(certificate: Certificate, make: float, review: float) -> float:
    return make + (1 - certificate.coverage) * review if certificate.proven else review


def _shares(tables: Mapping[str, Table], tolerance: float, delta: float) -> dict[str, int]:
    """Among how many strategies each has to share the level: all, or fewer after those proven before it (Holm 1979).

    Only where each strategy is one exact test (losses 0 or 1, rows alone, no scores) is a share returned.
    """
    samples = [Sample.of_table(table) for table in tables.values()]
    counts = dict.fromkeys(tables, len(tables))
    if any(
        s.scores is not None or s.clusters is not None or s.weights is not None or not s.binary
        for s in samples
    ):
        return counts
    p = np.array([float(binomial_p(next(iter(s.losses.values())).sum(), len(s), tolerance)) for s in samples])
    names = list(tables)
    left = len(names)
    for place in np.argsort(p, kind="stable"):
        counts[names[place]] = left
        if p[place] > delta / left:
            break
        left = max(1, left - 1)
    return counts


# What came


def _tables(
    strategies: Mapping[str, Table] | None,
    losses: Grid | None,
    scores: Grid | None,
    clusters: ArrayLike | None,
    items: Mapping[str, ArrayLike] | None,
) -> tuple[dict[str, Table], Mapping[str, ArrayLike] | None]:
    """One table a strategy, and the items of its rows if they are known."""
    if (strategies is None) == (losses is None):
        raise OptionError("give either tables of the strategies or losses=, not both and not neither")
    if strategies is not None:
        if not strategies:
            raise DataError("there are no strategies to compare; expected one table each")
        if scores is not None or clusters is not None:
            raise OptionError("the tables have their own columns; leave out scores and clusters")
        return {str(name): table for name, table in strategies.items()}, items
    assert losses is not None
    columns = _columns(losses, "losses")
    scored = _columns(scores, "scores") if scores is not None else {}
    unknown = sorted(set(scored) - set(columns))
    if unknown:
        raise DataError(f'scores= has "{unknown[0]}", losses= has not. {hint(unknown[0], columns)}')
    coded = None if clusters is None else codes(np.asarray(clusters))
    tables = {
        name: Table(losses=column, scores=scored.get(name), clusters=coded)
        for name, column in columns.items()
    }
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"losses= has columns of several lengths: {lengths}; expected the same items in each")
    same = np.arange(next(iter(lengths.values())))
    return tables, dict.fromkeys(columns, same)


def _columns(given: Grid, name: str) -> dict[str, Floats]:
    if isinstance(given, Mapping):
        found = {str(key): np.asarray(column) for key, column in given.items()}
    else:
        grid = np.asarray(given)
        if grid.ndim != 2:
            raise DataError(
                f"{name}= has shape {grid.shape}; expected [items, strategies], or columns by name"
            )
        found = {str(place): grid[:, place] for place in range(grid.shape[1])}
    if not found:
        raise DataError(f"{name}= is empty; expected a column a strategy")
    return found


def _named(costs: Mapping[str, float] | Sequence[float] | None, names: list[str]) -> dict[str, float]:
    if costs is None:
        return {}
    if isinstance(costs, Mapping):
        return {str(name): float(cost) for name, cost in costs.items()}
    if len(costs) != len(names):
        raise OptionError(f"{len(costs)} costs are given for {len(names)} strategies; expected one each")
    return dict(zip(names, map(float, costs), strict=True))


def _known(tables: Mapping[str, Table], items: Mapping[str, ArrayLike]) -> dict[str, Rows]:
    """Rows with codes of items and units that all strategies share."""
    missing = sorted(set(tables) - set(items))
    if missing:
        raise DataError(
            f"items= has no column for {', '.join(missing)}; expected the items of every strategy's rows"
        )
    columns = {name: np.asarray(items[name]) for name in tables}
    for name, column in columns.items():
        if column.shape != (len(tables[name]),):
            raise DataError(f"items of {name} have shape {column.shape}; expected ({len(tables[name])},)")
    coded = _common(list(columns.values()))
    together = [table.clusters for table in tables.values()]
    units = coded
    if all(clusters is not None for clusters in together):
        units = _common([np.asarray(clusters) for clusters in together])
        _checked_nesting(np.concatenate(coded), np.concatenate(units))
    elif any(clusters is not None for clusters in together):
        raise DataError(
            "some strategies have clusters and some have none; give all of them clusters, or none"
        )
    return {
        name: Rows(Sample.of_table(table), item, unit)
        for (name, table), item, unit in zip(tables.items(), coded, units, strict=True)
    }


def _common(columns: list[NDArray[Any]]) -> list[NDArray[np.int64]]:
    """Codes that all columns share; one column for all is coded once."""
    if all(column is columns[0] for column in columns):
        return [codes(columns[0])] * len(columns)
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return np.split(codes(np.concatenate(columns)), ends)


def _checked_nesting(items: NDArray[np.int64], units: NDArray[np.int64]) -> None:
    last = np.empty(int(items.max()) + 1, np.int64)
    last[items] = units
    if (last[items] != units).any():
        raise DataError(
            "an item is in different clusters in different strategies; expected codes common to all tables"
        )


def _once(codes: NDArray[np.int64]) -> bool:
    return int(np.bincount(codes).max()) == 1


def _way(name: str, rows: Rows, cost: float) -> Way:
    sample = rows.sample
    (losses,) = sample.losses.values()
    return Way(
        name=name,
        scores=np.asarray(bottomed(sample), np.float64)[:, None],
        losses=losses[:, None],
        units=rows.units,
        weights=np.ones(len(sample)) if sample.weights is None else sample.weights,
        costs=np.array([cost]),
        plain=sample.binary and sample.weights is None and _once(rows.units),
        scored=sample.scores is not None,
    )


def _chain(chain: tuple[str, ...], known: Mapping[str, Rows], prices: Mapping[str, float]) -> Way:
    """The items that every tier has answered, with the scores and losses of all tiers."""
    for name in chain:
        if name not in known:
            raise OptionError(
                f'the cascade {BETWEEN.join(chain)} names no strategy "{name}". {hint(name, known)}'
            )
    if len(chain) < 2 or len(set(chain)) < len(chain):
        raise OptionError(
            f"the cascade {chain} has {len(set(chain))} tiers; expected two or more different ones"
        )
    places = [_places(name, known[name], chain, known) for name in chain]
    parts = [
        _way(name, known[name], prices[name]).part(rows) for name, rows in zip(chain, places, strict=True)
    ]
    return Way(
        name=BETWEEN.join(chain),
        scores=np.hstack([part.scores for part in parts]),
        losses=np.hstack([part.losses for part in parts]),
        units=parts[0].units,
        weights=parts[0].weights,
        costs=np.concatenate([part.costs for part in parts]),
        plain=all(part.plain for part in parts),
        scored=any(part.scored for part in parts),
    )


def _places(name: str, rows: Rows, chain: tuple[str, ...], known: Mapping[str, Rows]) -> NDArray[np.int64]:
    """Where a tier's rows of the items common to all tiers are, in the order of the items."""
    if not _once(rows.items):
        raise DataError(f'"{name}" has several rows of one item; a cascade needs one row an item and tier')
    most = 1 + max(int(known[other].items.max()) for other in chain)
    shown = [np.bincount(known[other].items, minlength=most) > 0 for other in chain]
    common = np.flatnonzero(np.logical_and.reduce(shown))
    if not len(common):
        raise DataError(
            f"the tiers of {BETWEEN.join(chain)} have no item in common; nothing can be said of the cascade"
        )
    order = np.argsort(rows.items, kind="stable")
    return np.asarray(order[np.searchsorted(rows.items[order], common)], np.int64)


# What goes out


def _plan(
    known: Mapping[str, Rows],
    prices: Mapping[str, float],
    chains: Sequence[tuple[str, ...]],
    tolerance: float,
    confidence: float,
    review: float,
    seed: int,
    largest: float | None,
) -> list[Compared]:
    """A row for every strategy and every cascade: the cheapest of its rules that passed."""
    ways = [_way(name, rows, prices[name]) for name, rows in known.items()]
    ways += [_chain(chain, known, prices) for chain in chains]
    names: list[tuple[str, ...]] = [*((name,) for name in known), *chains]
    walked = walk_ways(ways, tolerance, (1 - confidence) / 2, review, seed, largest)
    shown = {"seed": seed, "strategies": len(ways), "design_units": walked.split.design_units}
    asked = {"tolerance": tolerance, "confidence": confidence, "method": METHOD, "options": shown}
    rows = []
    for place, (way, tier_names) in enumerate(zip(ways, names, strict=True)):
        mine = [passed for passed in walked.passed if passed.rule.way == place]
        costs = [_price(way, passed, review) for passed in mine]
        best = mine[int(np.argmin(costs))] if mine else None
        thresholds = None if best is None else best.rule.thresholds
        made = promise(
            way,
            thresholds,
            0.0 if best is None else best.level,
            assumptions=_assumptions(way, known, largest),
            names=known[tier_names[0]].sample.names if len(tier_names) == 1 else {},
            **asked,  # type: ignore[arg-type]
        )
        answer = made if len(tier_names) == 1 else Cascade(made, tiers(way, tier_names, thresholds))
        rows.append(Compared(way.name, answer, min(costs) if costs else review))
    return rows


def _price(way: Way, passed: Passed, review: float) -> float:
    thresholds = passed.rule.thresholds
    return cost_of(way, thresholds, outcomes(way, thresholds).tier, review)


def _assumptions(way: Way, known: Mapping[str, Rows], largest: float | None) -> tuple[str, ...]:
    named = any(rows.sample.named_clusters for rows in known.values())
    cap = way.largest if largest is None else max(largest, way.largest)
    told = [message("assume.same_population"), message("assume.clusters" if named else "assume.rows")]
    if not way.plain:
        told.append(message("assume.largest_cluster", size=cap))
    return (*told, message("assume.strategies"), message("assume.losses"))
