"""Refining: names, filters and pickers, and the law that requests do not see each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tolerate.errors import DataError, OptionError
from tolerate.refine import REFINERS, Choice, Pool, parse, refine

NAMES = [
    "plain",
    "best-of-1",
    "best-of-4",
    "best-of-4+no-copies",
    "best-of-4+above-0.5",
    "best-of-3+above-0.25+no-copies",
    "first-of-4-above-0.75",
    "first-of-4-above-0.75+no-copies",
    "plain+above-0.5",
]
numbers = st.floats(0, 1, width=16) | st.just(np.nan)
pools = arrays(np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=numbers)


def by_hand(name: str, scores: list[float], far: list[float]) -> tuple[int, int]:
    """One request's choice and candidates used, in the plainest words."""
    first, *filters = name.split("+")
    least = 0.75 if first.startswith("first") else np.inf
    count = 1 if first == "plain" else int(first.split("-")[2])
    left = []
    for place in range(count):
        passes = all(
            far[place] > 0 if part == "no-copies" else scores[place] >= float(part.removeprefix("above-"))
            for part in filters
        )
        if passes:
            left.append(place)
            if scores[place] >= least:
                return place, place + 1
    best = sorted(left, key=lambda place: (np.isnan(scores[place]), -scores[place], place))
    return (best[0] if best else -1), count


@pytest.mark.parametrize("name", NAMES)
@given(scores=pools, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_choices_are_those_made_by_hand(name: str, scores: np.ndarray, seed: int) -> None:
    far = np.random.default_rng(seed).normal(size=scores.shape)
    choice = parse(name).choose(scores, far)
    for row in range(len(scores)):
        index, used = by_hand(name, scores[row].tolist(), far[row].tolist())
        assert (choice.index[row], choice.used[row]) == (index, used)
        expected = np.nan if index < 0 else scores[row, index]
        assert np.array_equal(choice.scores[row], expected, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
@given(scores=pools, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_requests_do_not_see_each_other(name: str, scores: np.ndarray, seed: int) -> None:
    """Each request alone gets what it gets in company; so exchangeable requests give exchangeable items."""
    far = np.random.default_rng(seed).normal(size=scores.shape)
    together = parse(name).choose(scores, far)
    for row in range(len(scores)):
        alone = parse(name).choose(scores[row : row + 1], far[row : row + 1])
        assert alone.index[0] == together.index[row]
        assert np.array_equal(alone.scores, together.scores[row : row + 1], equal_nan=True)


def test_names_cover_every_refiner() -> None:
    used = " ".join(NAMES)
    for name in REFINERS:
        assert name.split("-N")[0] in used


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", 'starts with "". Known: plain'),
        ("best-of-four", 'starts with "best-of-four".*Did you mean "best-of-N"'),
        ("best-of-0", "asks for 0 candidates; expected 1 to 1000"),
        ("best-of-2.5", "asks for 2.5 candidates"),
        ("best-of-5000", "asks for 5000 candidates"),
        ("no-copies", 'starts with "no-copies"'),
        ("best-of-4+nocopies", '"nocopies" in the refining .*Did you mean "no-copies"'),
        ("best-of-4+plain", "picks twice; .*above-N, no-copies"),
        ("best-of-4+no.such:thing", 'cannot find "no.such:thing"'),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse(name)


def test_too_few_candidates_or_wrong_shapes() -> None:
    with pytest.raises(OptionError, match="chooses among 4 candidates, got 2"):
        parse("best-of-4").choose(np.zeros((3, 2)))
    with pytest.raises(OptionError, match="needs to know how near"):
        parse("plain+no-copies").choose(np.zeros((3, 1)))
    with pytest.raises(DataError, match=r"expected scores and copies of \[requests, k\]"):
        parse("plain").choose(np.zeros(3))


def only_even(pool: Pool) -> Pool:
    return pool.keep(np.arange(pool.scores.shape[1])[None] % 2 == 0)


def test_a_filter_of_ones_own() -> None:
    choice = parse(f"best-of-4+{__name__}:only_even").choose(np.array([[0.1, 0.9, 0.4, 0.8]]))
    assert choice.index.tolist() == [2]


def test_the_whole_chain_with_repair() -> None:
    """Contents are mended, then judged, then chosen; the judge here likes contents near the request."""
    contents = np.array([[[1.0], [4.0]], [[9.0], [6.5]], [[0.0], [0.0]]])
    requests = np.array([1, 7, 5])
    judged: list[np.ndarray] = []

    def judge(flat: np.ndarray, requested: np.ndarray) -> np.ndarray:
        judged.append(flat)
        return 1 - np.abs(flat[:, 0] - requested) / 10

    def halve(flat: np.ndarray, requested: np.ndarray) -> np.ndarray:
        return flat / 2

    plain, first = refine(contents, requests, judge, parse("best-of-2+above-0.6"))
    assert plain[:2, 0].tolist() == [1, 6.5]
    assert first.index.tolist() == [0, 1, -1]
    mended, _ = refine(contents, requests, judge, parse("best-of-2"), repair=halve)
    assert judged[1].tolist() == (judged[0] / 2).tolist()
    assert mended[:, 0].tolist() == [0.5, 4.5, 0]
    far, third = refine(
        contents, requests, judge, parse("best-of-2+no-copies"), nearness=lambda flat: flat[:, 0] - 5
    )
    assert third.index.tolist() == [-1, 1, -1]
    assert isinstance(third, Choice) and far.shape == (3, 1)
