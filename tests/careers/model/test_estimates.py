"""Estimates from a release: relatedness, and intervals of missing figures."""

from pathlib import Path

import numpy as np
import pytest

from tolerate.careers.data.onet import Release, read_release
from tolerate.careers.model import estimate, relate


@pytest.mark.shared
def test_a_real_release_teaches_relatedness(shared: Path) -> None:
    """On a third of the figures' fold: learned weights beat the plain likeness of tasks."""
    file = shared / "careers" / "db_29_3_text.zip"
    if not file.exists():
        pytest.skip("the careers data is absent")
    data = read_release(Release(file))
    table = {name: relate.table_similarity(data, name) for name in ("skill", "knowledge", "interest")}
    relate._add_similarity(
        table,
        "tasks",
        [[w for _, t, _ in data.tasks.get(c, ()) for w in relate.tokens(t)] for c in data.codes],
    )
    candidates = relate.select_candidates(table, relate.usable_mask(data))
    lists = relate.related_lists(data)
    origins = sorted(lists)
    scorer = relate.learn_scorer(candidates, {i: lists[i] for i in origins[::2]}, max_iterations=40)
    score = scorer(candidates)

    def recall(order: np.ndarray, i: int) -> float:
        return len(set(order[:10].tolist()) & set(lists[i])) / len(lists[i])

    learned = np.mean([recall(candidates.indices[i][np.argsort(-score[i])], i) for i in origins[1::2]])
    plain = np.mean(
        [
            recall(np.argsort(-np.where(np.arange(len(table["tasks"])) == i, -1, table["tasks"][i])), i)
            for i in origins[1::2]
        ]
    )
    assert learned > plain + 0.03


def test_intervals_cover_90_percent_and_a_narrow_twin_does_not() -> None:
    """Figures simulated from known similarities: 90% intervals cover 90% of those left out (s.e. 1.2%)."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(700, 6))
    kernel = estimate.Kernels((rows @ rows.T / 6,), (estimate._distances(rows),))
    truth = np.clip(3 + rows @ rng.normal(size=6) * 0.2 + rng.normal(size=700) * 0.4, 1, 5)
    values = np.where(np.arange(700) < 150, truth, np.nan)
    figures = estimate.estimate(kernel, values, np.arange(700).astype(str))
    new = [(figure, t) for figure, t in zip(figures[150:], truth[150:], strict=True) if figure is not None]
    inside = np.mean([figure.low <= t <= figure.high for figure, t in new])
    narrow = np.mean([abs(t - figure.value) <= 0.6 * (figure.high - figure.value) for figure, t in new])
    assert 0.86 <= inside <= 0.945 and narrow < 0.8 and all(figure.estimated for figure, _ in new)
