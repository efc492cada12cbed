"""Relatedness of occupations: similarity of skills, tasks, tools and titles, weighted as O*NET's own lists suggest.

For each origin the most similar occupations by mean rank are candidates; a linear score of similarities and of their
ranks in both directions orders them. Its weights maximise the likelihood of the lists (softmax over the candidates of
an origin, a small penalty). A release without lists gets the weights learned from 29.3, stored in `weights.tsv`.
O*NET's lists are partly made from tasks and titles: what this learns is similarity of work.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.onet import OnetData
from tolerate.careers.data.text import (
    count_words,
    latent_coordinates,
    normalize_rows,
    tf_idf,
    tokens,
    with_bigrams,
)
from tolerate.records import Floats

NEIGHBOUR_COUNT = 40  # related occupations of each one
CANDIDATE_COUNT = 120  # candidates of each origin: 99% of the listed ones are among them
WEIGHTS = Path(__file__).parents[1] / "data" / "weights.tsv"
CLOSENESS = {2: "soc2", 4: "soc3", 6: "soc5", 7: "soc6"}  # length of the common start of the code: name
RANKING_SIMILARITIES = (
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
MAX_ITERATIONS = 80

Similarities = dict[str, Floats]


# What is compared


def similarities(data: OnetData, titles: bool = True) -> Similarities:
    """[occupations, occupations] similarities by what they compare. titles: whether to compare titles too."""
    table = {
        name: table_similarity(data, name)
        for name in ("skill", "skill level", "knowledge", "knowledge level", "style", "interest", "value")
    }
    table["profile"] = _cosine(
        np.hstack(
            [
                standardize(data.tables[n].values)
                for n in ("skill level", "knowledge level", "style", "interest")
            ]
        )
    )
    task_words = {c: [tokens(text) for _, text, _ in data.tasks.get(c, ())] for c in data.codes}
    tasks = [[w for words in task_words[c] for w in words] for c in data.codes]
    pairs = [[w for words in task_words[c] for w in with_bigrams(words)] for c in data.codes]
    descriptions = [tokens(text, True) for text in data.descriptions]
    activities = {c: data.activities.get(c, ()) for c in data.codes}
    _add_similarity(table, "tasks", pairs)
    _add_similarity(table, "tasks latent", tasks, 60)
    _add_similarity(table, "description", descriptions)
    _add_similarity(table, "activities", [[name for _, name, _ in activities[c]] for c in data.codes])
    _add_similarity(
        table,
        "wider activities",
        [[name.rsplit(".", 1)[0] for _, name, _ in activities[c]] for c in data.codes],
    )
    _add_similarity(
        table,
        "activity words",
        [[w for _, _, text in activities[c] for w in tokens(text, True)] for c in data.codes],
    )
    _add_similarity(table, "tools", [[name for name, _ in data.tools.get(c, ())] for c in data.codes])
    _add_similarity(
        table, "kinds of tools", [[kind for _, kind in data.tools.get(c, ())] for c in data.codes]
    )
    all_words = [a + b for a, b in zip(tasks, (tokens(text) for text in data.descriptions), strict=True)]
    if titles:
        names = [[title, *data.aliases.get(c, ())] for c, title in zip(data.codes, data.titles, strict=True)]
        name_words = [[tokens(name) for name in words_of_names] for words_of_names in names]
        title_words = [[w for words in words_of_names for w in words] for words_of_names in name_words]
        _add_similarity(
            table,
            "titles",
            [[w for words in words_of_names for w in with_bigrams(words)] for words_of_names in name_words],
        )
        _add_similarity(table, "titles latent", title_words, 60)
        _add_similarity(
            table, "same titles", [[name.lower() for name in set(words_of_names)] for words_of_names in names]
        )
        _add_similarity(
            table,
            "title heads",
            [[words[-1] for words in words_of_names if words] for words_of_names in name_words],
        )
        _add_similarity(
            table,
            "title letters",
            [
                [name.lower()[k : k + 4] for name in words_of_names for k in range(len(name) - 3)]
                for words_of_names in names
            ],
        )
        all_words = [a + b for a, b in zip(all_words, title_words, strict=True)]
    _add_similarity(table, "all words", all_words)
    _add_similarity(table, "all words latent", all_words, 120)
    for signs, name in CLOSENESS.items():
        stem = np.array([code[:signs] for code in data.codes])
        table[name] = (stem[:, None] == stem[None]).astype(float)
    zones = np.nan_to_num(data.zones, nan=3.0)
    table["preparation"] = -np.abs(zones[:, None] - zones[None])
    return table


def table_similarity(data: OnetData, name: str) -> Floats:
    """Cosine similarity of one table of figures, each element standardised; 0 where the release has none."""
    return _cosine(standardize(data.tables[name].values))


def standardize(values: Floats) -> Floats:
    """Standardised columns with missing figures at the mean; a column without figures is 0."""
    finite = np.isfinite(values)
    n = np.maximum(finite.sum(0), 1)
    centred = np.where(finite, values - np.where(finite, values, 0).sum(0) / n, 0)
    return np.asarray(centred / np.maximum(np.sqrt((centred**2).sum(0) / n), 1e-9))


def _cosine(rows: Floats) -> Floats:
    rows = normalize_rows(rows)
    return np.asarray(rows @ rows.T)


def _add_similarity(table: Similarities, name: str, bags: list[list[str]], size: int = 0) -> None:
    """Add the similarity of bags of words, or, with a size, that in a latent space of so many dimensions."""
    rows = tf_idf(count_words(bags, min_bags=2)[0])
    if size and min(rows.shape) > size + 1:
        table[name] = _cosine(latent_coordinates(rows, size))
    else:
        table[name] = np.asarray((rows @ rows.T).todense())


# The score


@dataclass(frozen=True)
class RelatedCandidates:
    """The candidates of each occupation, and the features of each pair: [occupations, candidates, features]."""

    indices: NDArray[np.int64]  # [occupations, candidates]
    features: NDArray[np.float32]
    names: tuple[str, ...]
    mean: Floats | None = None  # [occupations, occupations] mean log ranks in both directions


def select_candidates(
    table: Similarities, usable: NDArray[np.bool_], size: int = CANDIDATE_COUNT
) -> RelatedCandidates:
    """The most similar occupations of each, with their features. usable: mask of occupations that have figures."""
    excluded = ~usable[None, :] | np.eye(len(usable), dtype=bool)
    ranks = {name: _ranks(values, excluded) for name, values in table.items() if not _is_coarse(name)}
    ranking = [name for name in RANKING_SIMILARITIES if name in ranks]
    mean = np.mean([ranks[name] + 0.5 * ranks[name].T for name in ranking], axis=0)
    indices = np.argsort(np.where(excluded, np.inf, mean), axis=1, kind="stable")[
        :, : min(size, int(usable.sum()) - 1)
    ]
    channels, names = [], []
    for name, values in table.items():
        for feature, channel in _pair_features(name, values, ranks.get(name)).items():
            names.append(f"{name}: {feature}")
            channels.append(np.take_along_axis(channel, indices, axis=1))
    return RelatedCandidates(indices, np.stack(channels, axis=2).astype(np.float32), tuple(names), mean)


def _is_coarse(name: str) -> bool:
    return name.startswith("soc") or name == "preparation"


def _pair_features(name: str, values: Floats, rank: Floats | None) -> Similarities:
    if rank is None:
        return {"is": values}
    best = np.minimum(rank, rank.T)
    return {
        "is": values,
        "root": np.sqrt(np.maximum(values, 0)),
        "rank": rank,
        "rank back": rank.T,
        "best rank": best,
    }


def _ranks(values: Floats, excluded: NDArray[np.bool_]) -> Floats:
    """Log of 1 + the rank of each occupation within its row, the most similar first."""
    order = np.argsort(np.where(excluded, np.inf, -values), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None, :], axis=1)
    return np.log1p(ranks)


def with_list_features(
    candidates: RelatedCandidates, lists: Mapping[int, list[int]], mean: Floats
) -> RelatedCandidates:
    """The candidates with features from the lists of *other* occupations; an origin's own list is never used.

    mean: [occupations, occupations] mean log ranks, small for similar occupations.
    """
    listed = np.zeros(mean.shape)
    for origin, others in lists.items():
        listed[origin, others] = 1.0
    similarity = np.exp(-mean / 2)
    np.fill_diagonal(similarity, 0.0)
    list_features = {
        "lists it": listed.T,  # the candidate's own list names the origin
        "listed beside": listed.T @ listed,  # by a third one that lists both
        "lists who lists it": (listed @ listed).T,
        "those alike list it": similarity @ listed,
        "lists those alike": similarity @ listed.T,
        "listed at all": np.broadcast_to(listed.sum(0), mean.shape) - listed,
    }
    channels = [
        np.take_along_axis(np.log1p(np.asarray(v)), candidates.indices, axis=1)
        for v in list_features.values()
    ]
    features = np.concatenate([candidates.features, np.stack(channels, axis=2).astype(np.float32)], axis=2)
    return RelatedCandidates(
        candidates.indices, features, (*candidates.names, *(f"lists: {name}" for name in list_features)), mean
    )


@dataclass(frozen=True)
class Scorer:
    """Linear weights of the features, and the logistic line from a score to the chance of being listed."""

    weights: Mapping[str, float]
    base: float
    slope: float

    def __call__(self, candidates: RelatedCandidates) -> Floats:
        """[occupations, candidates] scores."""
        return np.asarray(
            candidates.features @ np.array([self.weights.get(n, 0.0) for n in candidates.names], np.float32),
            float,
        )

    def chances(self, candidates: RelatedCandidates) -> Floats:
        """Chances of being on the list."""
        return np.asarray(1 / (1 + np.exp(-(self.base + self.slope * self(candidates)))))


def learn_scorer(
    candidates: RelatedCandidates,
    lists: Mapping[int, list[int]],
    penalty: float = 30.0,
    max_iterations: int = MAX_ITERATIONS,
) -> Scorer:
    """A scorer that ranks listed occupations first: it maximises the softmax likelihood of each origin's list."""
    from scipy.optimize import minimize

    origins = np.array(sorted(lists))
    x = candidates.features[origins]
    size = x.shape[2]
    flat = x.reshape(-1, size)
    mean, spread = flat.mean(0), flat.std(0) + 1e-6
    flat = (flat - mean) / spread
    y = np.array([np.isin(candidates.indices[i], lists[i]) for i in origins], np.float32)
    n = y.sum(1, keepdims=True)

    def loss(w: Floats) -> tuple[float, Floats]:
        z = (flat @ w.astype(np.float32)).reshape(y.shape)
        z -= z.max(1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(1, keepdims=True)
        gradient = -(flat.T @ (y - n * p).ravel()) + penalty * w
        return float(-(y * np.log(p + 1e-12)).sum() + penalty * (w @ w) / 2), gradient.astype(float)

    best = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options={"maxiter": max_iterations}).x
    weights = best / spread
    score = (x @ weights.astype(np.float32)).astype(float)
    return Scorer(
        dict(zip(candidates.names, weights.tolist(), strict=True)), *_fit_logistic(score.ravel(), y.ravel())
    )


def _fit_logistic(score: Floats, listed: NDArray[np.float32]) -> tuple[float, float]:
    """Base and slope of the logistic regression from scores to chances of being listed."""
    from scipy.optimize import minimize

    centre, spread = float(score.mean()), float(score.std()) + 1e-9
    x = (score - centre) / spread

    def loss(line: Floats) -> float:
        z = line[0] + line[1] * x
        return float(np.logaddexp(0, z).sum() - (listed * z).sum())

    a, b = minimize(loss, np.array([-2.0, 1.0])).x
    return float(a - b * centre / spread), float(b / spread)


def load_scorer() -> Scorer:
    """The weights learned from release 29.3, without features of lists: for a release that has none."""
    with WEIGHTS.open(encoding="utf-8", newline="") as file:
        rows = {row["feature"]: float(row["weight"]) for row in csv.DictReader(file, delimiter="\t")}
    base, slope = rows.pop("(base)"), rows.pop("(slope)")
    return Scorer(rows, base, slope)


def save_scorer(scorer: Scorer, path: Path = WEIGHTS) -> None:
    """Write a scorer as a table."""
    rows = {"(base)": scorer.base, "(slope)": scorer.slope, **scorer.weights}
    path.write_text(
        "feature\tweight\n" + "".join(f"{name}\t{value:.5g}\n" for name, value in rows.items()), "utf-8"
    )


def usable_mask(data: OnetData) -> NDArray[np.bool_]:
    """[occupations] mask of those that have figures to compare; all of them in a small release."""
    profiled = np.hstack([data.tables["interest"].values, data.tables["skill"].values])
    mask: NDArray[np.bool_] = np.asarray(np.isfinite(profiled).any(axis=1))
    return mask if mask.sum() > 30 else np.ones(len(data.codes), bool)


def related_lists(data: OnetData) -> dict[int, list[int]]:
    """Index of an origin -> the indices of its listed occupations."""
    return {
        data.index_of[c]: [data.index_of[o] for o in listed if o in data.index_of]
        for c, listed in data.related.items()
        if c in data.index_of
    }


def relate_occupations(
    data: OnetData, table: Similarities, neighbours: int = NEIGHBOUR_COUNT
) -> tuple[dict[str, tuple[tuple[str, float], ...]], Scorer]:
    """The most related occupations of each with their chances of being listed, and the scorer."""
    candidates = select_candidates(
        table, usable_mask(data), max(CANDIDATE_COUNT, min(neighbours, len(data.codes)))
    )
    lists = related_lists(data)
    if len(lists) >= 100 and candidates.mean is not None:
        candidates = with_list_features(candidates, lists, candidates.mean)
        scorer = learn_scorer(_first_candidates(candidates, CANDIDATE_COUNT), lists)
    else:
        scorer = load_scorer()
    chances = scorer.chances(candidates)
    related = {}
    for i, code in enumerate(data.codes):
        best = np.argsort(-chances[i], kind="stable")[:neighbours]
        related[code] = tuple((data.codes[candidates.indices[i, k]], float(chances[i, k])) for k in best)
    return {code: pairs for code, pairs in related.items() if usable_mask(data)[data.index_of[code]]}, scorer


def _first_candidates(candidates: RelatedCandidates, size: int) -> RelatedCandidates:
    return RelatedCandidates(candidates.indices[:, :size], candidates.features[:, :size], candidates.names)
