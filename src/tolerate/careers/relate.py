"""How related two occupations are: what they need, do and are called, weighted as O*NET's own lists teach."""

import numpy as np

from tolerate.careers.onet import Gathered
from tolerate.careers.text import counts, tokens, unit, weighted
from tolerate.records import Floats

KEPT = 40  # neighbours kept of each occupation


def similarities(it: Gathered) -> dict[str, Floats]:
    """[occupations, occupations] similarities by what they compare, each between -1 and 1."""
    found = {name: _profile(it, name) for name in ("skill level", "knowledge level", "interest")}
    found["tasks"] = _text(
        it, [[w for _, t, _ in it.tasks.get(c, ()) for w in tokens(t, True)] for c in it.codes]
    )
    titles = [
        [w for t in (title, *it.aliases.get(c, ())) for w in tokens(t, True)]
        for c, title in zip(it.codes, it.titles, strict=True)
    ]
    found["titles"] = _text(it, titles)
    return found


def _profile(it: Gathered, name: str) -> Floats:
    values = it.blocks[name].values
    if not values.shape[1]:
        return np.zeros((len(it.codes), len(it.codes)))
    spread = np.nan_to_num((values - np.nanmean(values, 0)) / np.nanstd(values, 0))
    rows = unit(spread)
    return np.asarray(rows @ rows.T)


def _text(it: Gathered, bags: list[list[str]]) -> Floats:
    rows = weighted(counts(bags, least=2)[0])
    return np.asarray((rows @ rows.T).todense())


def related(it: Gathered, kept: int = KEPT) -> dict[str, tuple[tuple[str, float], ...]]:
    """The nearest occupations of each, with a score between 0 and 1."""
    parts = similarities(it)
    score = np.mean(list(parts.values()), axis=0)
    np.fill_diagonal(score, -np.inf)
    out = {}
    for i, code in enumerate(it.codes):
        best = np.argsort(-score[i])[:kept]
        out[code] = tuple(
            (it.codes[j], float(np.clip(score[i, j], 0, 1))) for j in best if np.isfinite(score[i, j])
        )
    return out
