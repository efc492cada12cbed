"""Compare strategies, thresholds and cascades: one promise for all, so that the cheapest may be chosen.

With probability at least the confidence, *all* certificates returned hold together, so the cheapest may be chosen
after looking at them. Two methods lead there, and each has half of 1 - confidence where both are possible:

- **Shares** (Bonferroni; Holm where each strategy is one test): each strategy is certified (`threshold`) with an
  equal share. The strategies may share items and depend on each other in any way. Best for a few strategies, or for
  many that are nearly as good.
- **A plan** (`design_split`): a design part of the items chooses strategies, thresholds and the order of the tests;
  the rest tests them, and a test that passes costs nothing of the level. Best for many strategies of which most
  are hopeless, and the only method for cascades. It needs to know which rows show the same item.

A labelled table exists already; where labels are still to be made, `race` needs far fewer of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tolerate.errors import DataError, OptionError, hint
from tolerate.messages.catalogue import message
from tolerate.records import Certificate, Floats, Table
from tolerate.stats.bounds import binomial_p
from tolerate.stats.certify.ranked import missing_as_lowest
from tolerate.stats.certify.samples import Sample, codes, share
from tolerate.stats.certify.threshold import certify
from tolerate.stats.compare.cascade import Cascade, SharedPromise, rule_certificate, tiers_of
from tolerate.stats.compare.compared import ComparedStrategy, cheapest_first, checked_costs
from tolerate.stats.compare.design_split import PassedRule, select_rules
from tolerate.stats.compare.rules import StrategyData, apply_rule, cost_of

MAX_SHARED_STRATEGIES = 3  # up to so many are certified by shares alone
SPLIT_METHOD = (
    "rules chosen on a design part, tested on the rest, stakes returned (arXiv 2110.01052, 1910.04900)"
)
TIER_SEPARATOR = " > "  # in the name of a cascade
Grid = Mapping[str, ArrayLike] | ArrayLike  # a column a strategy, by name or as [items, strategies]


@dataclass(frozen=True)
class StrategyRows:
    """One strategy's labelled rows, the items that they show, and the units sampled together."""

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
) -> list[ComparedStrategy]:
    """Certify all strategies so that their promises hold together; returns them the cheapest first.

    strategies: labelled items of each, by name. Or losses=, scores=: [n] of each strategy by name, or [n, k], all on
        the same n items; clusters: [n].
    costs: of making one item. review: of a person's look at one item; what is not released is reviewed, so an
        accepted item costs `cost + (1 - coverage) * review`, and where nothing is released, `review` alone.
    items: by strategy, the name of the item that each row shows; clusters in the tables must then be common codes.
        Without it nothing is known of what the strategies share, and only equal shares of the level are valid.
    cascades: chains of strategies such as ("small", "large"): each asks the next where its score is too low.
    seed: of the split into design and test part. largest_cluster: as in `certify`.

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
        zip(
            tables,
            checked_costs(_costs_by_name(costs, list(tables)), list(tables), review).tolist(),
            strict=True,
        )
    )
    tolerance, confidence = share(tolerance, "tolerance", 0.05), share(confidence, "confidence", 0.95)
    chains = [tuple(map(str, chain)) for chain in cascades]
    planned = items is not None and (len(tables) > MAX_SHARED_STRATEGIES or bool(chains))
    if chains and items is None:
        raise OptionError(
            "cascades need to know which rows show the same item; give items= (--item), or losses= as columns"
        )
    methods = 2 if planned else 1
    certificates = {
        name: certify(
            tables[name],
            tolerance=tolerance,
            confidence=confidence,
            comparisons=count * methods,
            seed=seed,
            largest_cluster=largest_cluster,
        )
        for name, count in _shares(tables, tolerance, (1 - confidence) / methods).items()
    }
    rows = [
        ComparedStrategy(name, certificate, _cost_of_certificate(certificate, prices[name], review))
        for name, certificate in certificates.items()
    ]
    if planned:
        assert items is not None
        coded = _coded_rows(tables, items)
        plan = _planned_rows(coded, prices, chains, tolerance, confidence, review, seed, largest_cluster)
        better = [min(pair, key=lambda row: row.cost) for pair in zip(rows, plan, strict=False)]
        rows = [*better, *plan[len(rows) :]]
    return cheapest_first(rows)


def _cost_of_certificate(certificate: Certificate, making: float, review: float) -> float:
    return making + (1 - certificate.coverage) * review if certificate.proven else review


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
    remaining = len(names)
    for index in np.argsort(p, kind="stable"):
        counts[names[index]] = remaining
        if p[index] > delta / remaining:
            break
        remaining = max(1, remaining - 1)
    return counts


# Input


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


def _columns(data: Grid, name: str) -> dict[str, Floats]:
    if isinstance(data, Mapping):
        columns = {str(key): np.asarray(column) for key, column in data.items()}
    else:
        grid = np.asarray(data)
        if grid.ndim != 2:
            raise DataError(
                f"{name}= has shape {grid.shape}; expected [items, strategies], or columns by name"
            )
        columns = {str(index): grid[:, index] for index in range(grid.shape[1])}
    if not columns:
        raise DataError(f"{name}= is empty; expected a column a strategy")
    return columns


def _costs_by_name(costs: Mapping[str, float] | Sequence[float] | None, names: list[str]) -> dict[str, float]:
    if costs is None:
        return {}
    if isinstance(costs, Mapping):
        return {str(name): float(cost) for name, cost in costs.items()}
    if len(costs) != len(names):
        raise OptionError(f"{len(costs)} costs are given for {len(names)} strategies; expected one each")
    return dict(zip(names, map(float, costs), strict=True))


def _coded_rows(tables: Mapping[str, Table], items: Mapping[str, ArrayLike]) -> dict[str, StrategyRows]:
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
    coded = _common_codes(list(columns.values()))
    clusters_by_table = [table.clusters for table in tables.values()]
    units = coded
    if all(clusters is not None for clusters in clusters_by_table):
        units = _common_codes([np.asarray(clusters) for clusters in clusters_by_table])
        _check_nesting(np.concatenate(coded), np.concatenate(units))
    elif any(clusters is not None for clusters in clusters_by_table):
        raise DataError(
            "some strategies have clusters and some have none; give all of them clusters, or none"
        )
    return {
        name: StrategyRows(Sample.of_table(table), item, unit)
        for (name, table), item, unit in zip(tables.items(), coded, units, strict=True)
    }


def _common_codes(columns: list[NDArray[np.generic]]) -> list[NDArray[np.int64]]:
    """Codes that all columns share; one column for all is coded once."""
    if all(column is columns[0] for column in columns):
        return [codes(columns[0])] * len(columns)
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return np.split(codes(np.concatenate(columns)), ends)


def _check_nesting(items: NDArray[np.int64], units: NDArray[np.int64]) -> None:
    last = np.empty(int(items.max()) + 1, np.int64)
    last[items] = units
    if (last[items] != units).any():
        raise DataError(
            "an item is in different clusters in different strategies; expected codes common to all tables"
        )


def _all_different(codes: NDArray[np.int64]) -> bool:
    return int(np.bincount(codes).max()) == 1


def _strategy_data(name: str, rows: StrategyRows, cost: float) -> StrategyData:
    sample = rows.sample
    (losses,) = sample.losses.values()
    return StrategyData(
        name=name,
        scores=np.asarray(missing_as_lowest(sample), np.float64)[:, None],
        losses=losses[:, None],
        units=rows.units,
        weights=np.ones(len(sample)) if sample.weights is None else sample.weights,
        costs=np.array([cost]),
        plain=sample.binary and sample.weights is None and _all_different(rows.units),
        scored=sample.scores is not None,
    )


def _cascade_data(
    chain: tuple[str, ...], rows_by_name: Mapping[str, StrategyRows], prices: Mapping[str, float]
) -> StrategyData:
    """The items that every tier has answered, with the scores and losses of all tiers."""
    for name in chain:
        if name not in rows_by_name:
            raise OptionError(
                f'the cascade {TIER_SEPARATOR.join(chain)} names no strategy "{name}". {hint(name, rows_by_name)}'
            )
    if len(chain) < 2 or len(set(chain)) < len(chain):
        raise OptionError(
            f"the cascade {chain} has {len(set(chain))} tiers; expected two or more different ones"
        )
    rows_by_tier = [_common_rows(name, rows_by_name[name], chain, rows_by_name) for name in chain]
    parts = [
        _strategy_data(name, rows_by_name[name], prices[name]).part(rows)
        for name, rows in zip(chain, rows_by_tier, strict=True)
    ]
    return StrategyData(
        name=TIER_SEPARATOR.join(chain),
        scores=np.hstack([part.scores for part in parts]),
        losses=np.hstack([part.losses for part in parts]),
        units=parts[0].units,
        weights=parts[0].weights,
        costs=np.concatenate([part.costs for part in parts]),
        plain=all(part.plain for part in parts),
        scored=any(part.scored for part in parts),
    )


def _common_rows(
    name: str, rows: StrategyRows, chain: tuple[str, ...], rows_by_name: Mapping[str, StrategyRows]
) -> NDArray[np.int64]:
    """Indices of a tier's rows of the items common to all tiers, in the order of the items."""
    if not _all_different(rows.items):
        raise DataError(f'"{name}" has several rows of one item; a cascade needs one row an item and tier')
    max_items = 1 + max(int(rows_by_name[other].items.max()) for other in chain)
    present = [np.bincount(rows_by_name[other].items, minlength=max_items) > 0 for other in chain]
    common = np.flatnonzero(np.logical_and.reduce(present))
    if not len(common):
        raise DataError(
            f"the tiers of {TIER_SEPARATOR.join(chain)} have no item in common; nothing can be said of the cascade"
        )
    order = np.argsort(rows.items, kind="stable")
    return np.asarray(order[np.searchsorted(rows.items[order], common)], np.int64)


# The plan


def _planned_rows(
    rows: Mapping[str, StrategyRows],
    prices: Mapping[str, float],
    chains: Sequence[tuple[str, ...]],
    tolerance: float,
    confidence: float,
    review: float,
    seed: int,
    largest: float | None,
) -> list[ComparedStrategy]:
    """Every strategy and every cascade with the cheapest of its rules that passed."""
    strategies = [_strategy_data(name, of_strategy, prices[name]) for name, of_strategy in rows.items()]
    strategies += [_cascade_data(chain, rows, prices) for chain in chains]
    names: list[tuple[str, ...]] = [*((name,) for name in rows), *chains]
    result = select_rules(strategies, tolerance, (1 - confidence) / 2, review, seed, largest)
    options = {"seed": seed, "strategies": len(strategies), "design_units": result.split.design_units}
    promise = SharedPromise(tolerance, confidence, SPLIT_METHOD, options)
    compared = []
    for index, (data, tier_names) in enumerate(zip(strategies, names, strict=True)):
        passed = [rule for rule in result.passed if rule.rule.strategy == index]
        costs = [_cost_of_rule(data, rule, review) for rule in passed]
        best = passed[int(np.argmin(costs))] if passed else None
        thresholds = None if best is None else best.rule.thresholds
        certificate = rule_certificate(
            data,
            thresholds,
            0.0 if best is None else best.level,
            promise=promise,
            assumptions=_assumptions(data, rows, largest),
            names=rows[tier_names[0]].sample.names if len(tier_names) == 1 else {},
        )
        single = len(tier_names) == 1
        answer = certificate if single else Cascade(certificate, tiers_of(data, tier_names, thresholds))
        compared.append(ComparedStrategy(data.name, answer, min(costs) if costs else review))
    return compared


def _cost_of_rule(data: StrategyData, passed: PassedRule, review: float) -> float:
    thresholds = passed.rule.thresholds
    return cost_of(data, thresholds, apply_rule(data, thresholds).tier, review)


def _assumptions(
    data: StrategyData, rows: Mapping[str, StrategyRows], largest: float | None
) -> tuple[str, ...]:
    named = any(of_strategy.sample.named_clusters for of_strategy in rows.values())
    cap = data.largest if largest is None else max(largest, data.largest)
    sentences = [message("assume.same_population"), message("assume.clusters" if named else "assume.rows")]
    if not data.plain:
        sentences.append(message("assume.largest_cluster", size=cap))
    return (*sentences, message("assume.strategies"), message("assume.losses"))
