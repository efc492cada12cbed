"""Drift of scores: found falsely at most as often as it says, soon where they changed, and with a twin that is broken."""

import math

import numpy as np
import pytest

from tolerate.errors import DataError
from tolerate.stats.certify.threshold import certify
from tolerate.stats.monitor.drift import (
    LEARNING_SCORES,
    MAX_STEPS,
    Drift,
    Reference,
    excess_bands,
    gap_of,
    reference_of,
    with_scores,
)

Scores = np.ndarray


def allowed(runs: int, chance: float) -> float:
    """So many of the runs may fail, if each may with this chance, and three standard errors."""
    return runs * chance + 3 * math.sqrt(runs * chance * (1 - chance))


def smooth(rng: np.random.Generator, count: int) -> Scores:
    return rng.beta(5, 2, count)


def few_values(rng: np.random.Generator, count: int) -> Scores:
    return rng.choice([1 / 3, 2 / 3, 1.0], count, p=[0.2, 0.3, 0.5])


def with_gaps(rng: np.random.Generator, count: int) -> Scores:
    return np.where(
        rng.random(count) < 0.2, np.nan, np.where(rng.random(count) < 0.3, 1.0, rng.random(count))
    )


def detects(kind: object, seed: int, certified: int = 600, items: int = 500, level: float = 0.2) -> bool:
    rng = np.random.default_rng(seed)
    drift = Drift(reference_of(kind(rng, certified), seed=seed), level, gap=0.0)
    return drift.update(kind(rng, items).tolist(), rng.random(items).tolist())


@pytest.mark.parametrize("kind", [smooth, few_values, with_gaps])
def test_it_is_found_falsely_at_most_as_often_as_it_says(kind: object) -> None:
    """A level of 20%, so that 150 runs can tell; three standard errors are 10%."""
    assert sum(detects(kind, seed) for seed in range(150)) <= allowed(150, 0.2)


def test_steps_that_saw_the_counts_are_caught() -> None:
    """The broken twin: quantiles of the same few scores that are counted, taken for the truth of the population."""

    def broken(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        certified, drift = rng.random(60), Drift(None, 0.2, gap=0.0)
        edges = np.unique(np.quantile(certified, np.arange(1, MAX_STEPS) / MAX_STEPS))
        drift._begin(Reference(tuple(edges), (0, *[10**6] * MAX_STEPS)))  # as if the shares were certain
        return drift.update(rng.random(500).tolist(), rng.random(500).tolist())

    assert sum(broken(seed) for seed in range(60)) > allowed(60, 0.2)


def changed(seed: int, before: int, power: float) -> Drift:
    rng = np.random.default_rng(seed)
    drift = Drift(reference_of(rng.random(2000), seed=seed))
    drift.update(rng.random(before).tolist(), rng.random(before).tolist())
    assert not drift.detected
    drift.update((rng.random(1500) ** power).tolist(), rng.random(1500).tolist())
    return drift


@pytest.mark.parametrize("before", [0, 1000])
def test_a_change_is_found_soon(before: int) -> None:
    """Half of the scores fall below a quarter, as against a quarter of the certified ones."""
    delays = [drift.items - before for seed in range(1, 9) if (drift := changed(seed, before, 2.0)).detected]
    assert len(delays) == 8 and np.mean(delays) < 150


def test_what_is_held_is_what_comes_too_often() -> None:
    drift = changed(1, 500, 3.0)
    bands, missing = drift.bands()
    assert bands[0][0] is None and bands[0][1] < 0.3 and not missing
    drift.next_bands()  # what came after the find in the same go
    drift.update([1.0] * 250, [0.5] * 250)
    more, _ = drift.next_bands()
    assert more[-1][1] is None and drift.next_bands() is None


def test_small_changes_do_not_count() -> None:
    rng = np.random.default_rng(0)
    drift = Drift(reference_of(rng.random(4000)), gap=0.2)
    assert not drift.update((rng.random(3000) ** 1.3).tolist(), rng.random(3000).tolist())
    assert drift.evidence > 20 and drift.recent_gap < 0.2


def test_without_certified_scores_the_first_ones_stand_in() -> None:
    rng = np.random.default_rng(0)
    drift = Drift(None)
    assert not drift.update(
        rng.random(LEARNING_SCORES + 500).tolist(), rng.random(LEARNING_SCORES + 500).tolist()
    )
    assert drift.reference is not None and drift.items == 500
    assert drift.update([0.5] * 300, rng.random(300).tolist())


def test_missing_scores_are_a_place_of_their_own() -> None:
    rng = np.random.default_rng(0)
    drift = Drift(reference_of(rng.random(1000)))
    assert drift.update([None] * 200, rng.random(200).tolist())
    assert drift.bands() == ([], True)


def test_it_goes_on_from_its_record() -> None:
    rng = np.random.default_rng(0)
    scores, ties = rng.random(400).tolist(), rng.random(400).tolist()
    whole, first = Drift(reference_of(rng.random(900))), None
    first = Drift(whole.reference)
    whole.update(scores, ties)
    first.update(scores[:150], ties[:150])
    again = Drift.from_json(first.to_json())
    again.update(scores[150:], ties[150:])
    assert again == whole


def test_too_few_scores_are_no_reference() -> None:
    assert reference_of(np.zeros(99)) is None
    with pytest.raises(DataError, match="edges"):
        Reference.from_json({"edges": [1.0, 0.5], "counts": [0, 1, 2, 3]})
    with pytest.raises(DataError, match="expected edges and counts"):
        Reference.from_json({"edges": [0.5]})


def test_neighbours_are_joined() -> None:
    steps = Reference((0.2, 0.5, 0.8), (0, 25, 25, 25, 25))
    assert excess_bands(steps, [0, 50, 50, 0, 50]) == ([(None, 0.5), (0.8, None)], False)
    assert gap_of([0, 100], [100, 0]) == 1.0


def test_a_certificate_carries_its_scores() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(1000)
    certificate = certify(losses=rng.random(1000) < 0.02, scores=scores, tolerance=0.05)
    assert (
        with_scores(certificate, None) == certificate
        and with_scores(certificate, scores, weights=scores) == certificate
    )
    assert sum(with_scores(certificate, scores).options["scores"]["counts"]) == 500
    clusters = np.arange(1000) // 4
    assert sum(with_scores(certificate, scores, clusters).options["scores"]["counts"]) == 125
