"""How related two occupations are: what they need, do, use and are called, weighted as O*NET's own lists teach.

Of each origin the most alike occupations by a plain mean of ranks are candidates; a linear score of similarities and
of their ranks, seen from both sides, orders them. Its weights maximise the likelihood of the lists (softmax over the
candidates of an origin, a small penalty). A release without lists gets the weights that 29.3 taught, kept in
`weights.tsv`. O*NET's lists are partly made from tasks and titles: what this learns is likeness of work.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.onet import Gathered
from tolerate.careers.data.text import counts, latent, tokens, unit, weighted, with_pairs
from tolerate.records import Floats

KEPT = 40  # neighbours kept of each occupation
POOL = 120  # candidates of each origin: 99% of the listed ones are among them
WEIGHTS = Path(__file__).parents[1] / "data" / "weights.tsv"
CLOSENESS = {2: "soc2", 4: "soc3", 6: "soc5", 7: "soc6"}  # shared first signs of the code
CLEAREST = (
    "tasks",
    "tasks latent",
    "titles",
    "titles latent",
    "all words",
    "all words latent",
    "knowledge",
    "activities",
    "wider activities",
)
ROUNDS = 80

Table = dict[str, Floats]


# What is compared


def similarities(it: Gathered, titles: bool = True) -> Table:
    """[occupations, occupations] similarities by what they compare; without titles if so asked."""
    found = {
        name: profile(it, name)
        for name in ("skill", "skill level", "knowledge", "knowledge level", "style", "interest", "value")
    }
    found["profile"] = _cosine(
        np.hstack(
            [standard(it.blocks[n].values) for n in ("skill level", "knowledge level", "style", "interest")]
        )
    )
    said = {c: [tokens(text) for _, text, _ in it.tasks.get(c, ())] for c in it.codes}
    tasks = [[w for words in said[c] for w in words] for c in it.codes]
    pairs = [[w for words in said[c] for w in with_pairs(words)] for c in it.codes]
    about = [tokens(text, True) for text in it.descriptions]
    done = {c: it.activities.get(c, ()) for c in it.codes}
    _add(found, "tasks", pairs)
    _add(found, "tasks latent", tasks, 60)
    _add(found, "description", about)
    _add(found, "activities", [[name for _, name, _ in done[c]] for c in it.codes])
    _add(found, "wider activities", [[name.rsplit(".", 1)[0] for _, name, _ in done[c]] for c in it.codes])
    _add(
        found, "activity words", [[w for _, _, text in done[c] for w in tokens(text, True)] for c in it.codes]
    )
    _add(found, "tools", [[name for name, _ in it.tools.get(c, ())] for c in it.codes])
    _add(found, "kinds of tools", [[kind for _, kind in it.tools.get(c, ())] for c in it.codes])
    whole = [a + b for a, b in zip(tasks, (tokens(text) for text in it.descriptions), strict=True)]
    if titles:
        names = [[title, *it.aliases.get(c, ())] for c, title in zip(it.codes, it.titles, strict=True)]
        read = [[tokens(name) for name in each] for each in names]
        title_words = [[w for words in each for w in words] for each in read]
        _add(found, "titles", [[w for words in each for w in with_pairs(words)] for each in read])
        _add(found, "titles latent", title_words, 60)
        _add(found, "same titles", [[name.lower() for name in set(each)] for each in names])
        _add(found, "title heads", [[words[-1] for words in each if words] for each in read])
        _add(
            found,
            "title letters",
            [[name.lower()[k : k + 4] for name in each for k in range(len(name) - 3)] for each in names],
        )
        whole = [a + b for a, b in zip(whole, title_words, strict=True)]
    _add(found, "all words", whole)
    _add(found, "all words latent", whole, 120)
    for signs, name in CLOSENESS.items():
        stem = np.array([code[:signs] for code in it.codes])
        found[name] = (stem[:, None] == stem[None]).astype(float)
    zones = np.nan_to_num(it.zones, nan=3.0)
    found["preparation"] = -np.abs(zones[:, None] - zones[None])
    return found


def profile(it: Gathered, name: str) -> Floats:
    """Cosines of one block of figures, each element standardised; 0 where the release has none."""
    return _cosine(standard(it.blocks[name].values))


def standard(values: Floats) -> Floats:
    """Standardised columns, missing figures at the mean; a column without figures is 0."""
    known = np.isfinite(values)
    n = np.maximum(known.sum(0), 1)
    centred = np.where(known, values - np.where(known, values, 0).sum(0) / n, 0)
    return np.asarray(centred / np.maximum(np.sqrt((centred**2).sum(0) / n), 1e-9))


def _cosine(rows: Floats) -> Floats:
    rows = unit(rows)
    return np.asarray(rows @ rows.T)


def _add(found: Table, name: str, bags: list[list[str]], size: int = 0) -> None:
    """A similarity of bags of words, in full or in a latent space of `size` dimensions."""
    rows = weighted(counts(bags, least=2)[0])
    if size and min(rows.shape) > size + 1:
        found[name] = _cosine(latent(rows, size))
    else:
        found[name] = np.asarray((rows @ rows.T).todense())


# The score


@dataclass(frozen=True)
class Candidates:
    """Of each occupation the candidates, and what is known of each pair: [occupations, candidates, features]."""

    places: NDArray[np.int64]  # [occupations, candidates]
    features: NDArray[np.float32]
    names: tuple[str, ...]
    mean: Floats | None = None  # [occupations, occupations] mean log ranks, from both sides


def candidates(table: Table, usable: NDArray[np.bool_], size: int = POOL) -> Candidates:
    """The most alike occupations of each, and their features. usable: which occupations have any figures."""
    outside = ~usable[None, :] | np.eye(len(usable), dtype=bool)
    ranks = {name: _ranks(values, outside) for name, values in table.items() if not _coarse(name)}
    clear = [name for name in CLEAREST if name in ranks]
    mean = np.mean([ranks[name] + 0.5 * ranks[name].T for name in clear], axis=0)
    places = np.argsort(np.where(outside, np.inf, mean), axis=1, kind="stable")[
        :, : min(size, int(usable.sum()) - 1)
    ]
    channels, names = [], []
    for name, values in table.items():
        for what, channel in _channels(name, values, ranks.get(name)).items():
            names.append(f"{name}: {what}")
            channels.append(np.take_along_axis(channel, places, axis=1))
    return Candidates(places, np.stack(channels, axis=2).astype(np.float32), tuple(names), mean)


def _coarse(name: str) -> bool:
    return name.startswith("soc") or name == "preparation"


def _channels(name: str, values: Floats, rank: Floats | None) -> Table:
    if rank is None:
        return {"is": values}
    both = np.minimum(rank, rank.T)
    return {
        "is": values,
        "root": np.sqrt(np.maximum(values, 0)),
        "rank": rank,
        "rank back": rank.T,
        "best rank": both,
    }


def _ranks(values: Floats, outside: NDArray[np.bool_]) -> Floats:
    """Log of 1 + the rank of each occupation among those of a row, the most alike first."""
    order = np.argsort(np.where(outside, np.inf, -values), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None, :], axis=1)
    return np.log1p(ranks)


def with_lists(found: Candidates, lists: Mapping[int, list[int]], mean: Floats) -> Candidates:
    """The candidates with what the lists of *other* occupations say of each pair; an origin's own list is never used.

    mean: [occupations, occupations] mean log ranks, small for those that are alike.
    """
    listed = np.zeros(mean.shape)
    for origin, others in lists.items():
        listed[origin, others] = 1.0
    like = np.exp(-mean / 2)
    np.fill_diagonal(like, 0.0)
    said = {
        "lists it": listed.T,  # the candidate's own list names the origin
        "listed beside": listed.T @ listed,  # by a third one that lists both
        "lists who lists it": (listed @ listed).T,
        "those alike list it": like @ listed,
        "lists those alike": like @ listed.T,
        "listed at all": np.broadcast_to(listed.sum(0), mean.shape) - listed,
    }
    picked = [np.take_along_axis(np.log1p(np.asarray(v)), found.places, axis=1) for v in said.values()]
    features = np.concatenate([found.features, np.stack(picked, axis=2).astype(np.float32)], axis=2)
    return Candidates(found.places, features, (*found.names, *(f"lists: {name}" for name in said)), mean)


@dataclass(frozen=True)
class Scorer:
    """Linear weights of the features, and the line that turns a score into a chance of being listed."""

    weights: Mapping[str, float]
    base: float
    slope: float

    def __call__(self, found: Candidates) -> Floats:
        """[occupations, candidates] scores."""
        return np.asarray(
            found.features @ np.array([self.weights.get(n, 0.0) for n in found.names], np.float32), float
        )

    def chances(self, found: Candidates) -> Floats:
        """Chances of being on the list."""
        return np.asarray(1 / (1 + np.exp(-(self.base + self.slope * self(found)))))


def learn(
    found: Candidates, lists: Mapping[int, list[int]], penalty: float = 30.0, rounds: int = ROUNDS
) -> Scorer:
    """Weights under which the listed ones come first: softmax likelihood over each origin's candidates."""
    from scipy.optimize import minimize

    origins = np.array(sorted(lists))
    x = found.features[origins]
    size = x.shape[2]
    flat = x.reshape(-1, size)
    mean, spread = flat.mean(0), flat.std(0) + 1e-6
    flat = (flat - mean) / spread
    y = np.array([np.isin(found.places[i], lists[i]) for i in origins], np.float32)
    n = y.sum(1, keepdims=True)

    def loss(w: Floats) -> tuple[float, Floats]:
        z = (flat @ w.astype(np.float32)).reshape(y.shape)
        z -= z.max(1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(1, keepdims=True)
        gradient = -(flat.T @ (y - n * p).ravel()) + penalty * w
        return float(-(y * np.log(p + 1e-12)).sum() + penalty * (w @ w) / 2), gradient.astype(float)

    best = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options={"maxiter": rounds}).x
    weights = best / spread
    score = (x @ weights.astype(np.float32)).astype(float)
    return Scorer(dict(zip(found.names, weights.tolist(), strict=True)), *_line(score.ravel(), y.ravel()))


def _line(score: Floats, listed: NDArray[np.float32]) -> tuple[float, float]:
    """A logistic line from scores to chances."""
    from scipy.optimize import minimize

    centre, spread = float(score.mean()), float(score.std()) + 1e-9
    x = (score - centre) / spread

    def loss(at: Floats) -> float:
        z = at[0] + at[1] * x
        return float(np.logaddexp(0, z).sum() - (listed * z).sum())

    a, b = minimize(loss, np.array([-2.0, 1.0])).x
    return float(a - b * centre / spread), float(b / spread)


def built_in() -> Scorer:
    """The weights that release 29.3 taught, without what lists say: they are for a release that has none."""
    with WEIGHTS.open(encoding="utf-8", newline="") as file:
        rows = {row["feature"]: float(row["weight"]) for row in csv.DictReader(file, delimiter="\t")}
    base, slope = rows.pop("(base)"), rows.pop("(slope)")
    return Scorer(rows, base, slope)


def keep(scorer: Scorer, path: Path = WEIGHTS) -> None:
    """Write a scorer as a table."""
    rows = {"(base)": scorer.base, "(slope)": scorer.slope, **scorer.weights}
    path.write_text(
        "feature\tweight\n" + "".join(f"{name}\t{value:.5g}\n" for name, value in rows.items()), "utf-8"
    )


def usable(it: Gathered) -> NDArray[np.bool_]:
    """Which occupations have figures to compare."""
    profiled = np.hstack([it.blocks["interest"].values, it.blocks["skill"].values])
    known: NDArray[np.bool_] = np.asarray(np.isfinite(profiled).any(axis=1))
    return known if known.sum() > 30 else np.ones(len(it.codes), bool)


def lists_of(it: Gathered) -> dict[int, list[int]]:
    """Origin -> its listed occupations, as places."""
    return {
        it.at[c]: [it.at[o] for o in listed if o in it.at] for c, listed in it.related.items() if c in it.at
    }


def related(
    it: Gathered, table: Table, kept: int = KEPT
) -> tuple[dict[str, tuple[tuple[str, float], ...]], Scorer]:
    """The nearest occupations of each with their chances, and the scorer that gave them."""
    found = candidates(table, usable(it), max(POOL, min(kept, len(it.codes))))
    lists = lists_of(it)
    if len(lists) >= 100 and found.mean is not None:
        found = with_lists(found, lists, found.mean)
        scorer = learn(_first(found, POOL), lists)
    else:
        scorer = built_in()
    chances = scorer.chances(found)
    out = {}
    for i, code in enumerate(it.codes):
        best = np.argsort(-chances[i], kind="stable")[:kept]
        out[code] = tuple((it.codes[found.places[i, k]], float(chances[i, k])) for k in best)
    return {code: pairs for code, pairs in out.items() if usable(it)[it.at[code]]}, scorer


def _first(found: Candidates, size: int) -> Candidates:
    return Candidates(found.places[:, :size], found.features[:, :size], found.names)
