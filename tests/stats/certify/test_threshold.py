"""`certify`: what it accepts, what it refuses, what it says."""

import json

import numpy as np
import pytest

import tolerate
from tolerate.errors import DataError, OptionError
from tolerate.records import Certificate, Decision, Table
from tolerate.stats.bounds import binomial_p
from tolerate.stats.certify.fixed_sequence import (
    last_passing,
    max_errors,
    prefix_sizes,
    sharp_sizes,
    thin_sizes,
    zero_failure_size,
)
from tolerate.stats.certify.prefixes import WHOLE_LEVEL_SHARE
from tolerate.stats.certify.threshold import certify

RNG = np.random.default_rng(7)
SCORES = RNG.random(1500)
WRONG = RNG.random(1500) > SCORES**0.15


def test_releases_the_top_and_says_so() -> None:
    cert = certify(losses=WRONG, scores=SCORES, tolerance=0.05, confidence=0.9)
    assert cert.scope == "above" and cert.threshold is not None
    released = cert.threshold <= SCORES
    assert cert.released == released.sum() and cert.coverage == pytest.approx(released.mean())
    assert cert.risk_seen == pytest.approx(WRONG[released].mean())
    assert cert.risk_bound == 0.05 and 0.2 < cert.coverage < 0.7
    assert float(binomial_p(WRONG[released].sum(), released.sum(), 0.05)) <= 0.1
    assert cert.labels == cert.clusters == 1500
    assert cert.decide(cert.threshold) is Decision.RELEASE
    assert cert.decide(float(np.nextafter(cert.threshold, -1))) is Decision.REVIEW
    assert cert.decide(None) is Decision.REVIEW and cert.decide(float("nan")) is Decision.REVIEW


def test_threshold_is_the_next_float_above_the_best_score_held() -> None:
    cert = certify(losses=WRONG, scores=SCORES, tolerance=0.05, confidence=0.9)
    held = SCORES[cert.threshold > SCORES]
    assert cert.threshold == np.nextafter(held.max(), np.inf)


def test_float32_scores_keep_their_ties() -> None:
    scores = np.round(SCORES, 2).astype(np.float32)
    cert = certify(losses=WRONG, scores=scores, tolerance=0.05, confidence=0.9)
    decided = np.array([cert.decide(score) is Decision.RELEASE for score in scores])
    assert cert.scope == "above" and decided.sum() == cert.released


def test_easy_set_is_released_whole() -> None:
    """1.8% errors at a tolerance of 5%, n = 500: strict-first methods release nothing in 99% of such sets."""
    rng = np.random.default_rng(3)
    whole = [
        certify(losses=rng.random(500) < 0.018, scores=rng.random(500), tolerance=0.05).coverage
        for _ in range(60)
    ]
    assert np.mean(whole) > 0.85 and np.median(whole) == 1.0


def test_everything_proven_has_a_sharper_bound() -> None:
    cert = certify(losses=np.zeros(2000), scores=np.arange(2000), tolerance=0.05)
    assert cert.scope == "all" and cert.threshold is None and cert.coverage == 1
    assert cert.risk_bound == pytest.approx(1 - (0.05 * WHOLE_LEVEL_SHARE) ** (1 / 2000))
    assert cert.decide(None) is Decision.RELEASE


def test_nothing_proven_is_an_answer() -> None:
    cert = certify(losses=np.ones(500), scores=np.arange(500), tolerance=0.05)
    assert cert.scope == "nothing" and not cert.proven
    assert cert.coverage == 0 and cert.risk_bound is None and cert.threshold is None and cert.released == 0
    assert cert.decide(1e9) is Decision.REVIEW


def test_without_scores_all_or_nothing() -> None:
    assert certify(losses=np.zeros(59), tolerance=0.05).scope == "all"
    assert certify(losses=np.zeros(58), tolerance=0.05).scope == "nothing"
    assert certify(losses=np.r_[np.zeros(92), 1], tolerance=0.05).scope == "all"
    assert certify(losses=np.r_[np.zeros(91), 1], tolerance=0.05).scope == "nothing"


def test_missing_scores_rank_last_and_are_never_above() -> None:
    scores, losses = SCORES.copy(), WRONG.astype(float)
    scores[::3], losses[::3] = np.nan, 1.0
    cert = certify(losses=losses, scores=scores, tolerance=0.1, confidence=0.9)
    assert cert.scope == "above" and cert.coverage < 2 / 3
    assert cert.released == np.sum(scores >= cert.threshold)
    fine = certify(losses=np.zeros(1500), scores=scores, tolerance=0.05)
    assert fine.scope == "all"


def test_all_scores_missing_is_like_no_scores() -> None:
    cert = certify(losses=np.zeros(59), scores=np.full(59, np.nan), tolerance=0.05)
    assert cert.scope == "all"


def test_one_score_for_all_is_all_or_nothing() -> None:
    assert certify(losses=WRONG, scores=np.ones(1500), tolerance=0.05).scope == "nothing"
    assert certify(losses=np.zeros(100), scores=[1] * 100, tolerance=0.05).scope == "all"


def test_a_tied_top_is_released() -> None:
    """40% of items share the best score: the walk starts at the first prefix that could pass."""
    scores = np.r_[np.full(400, 1.0), np.linspace(0.9, 0, 600)]
    losses = np.r_[np.zeros(400), np.ones(600)]
    cert = certify(losses=losses, scores=scores, tolerance=0.05)
    assert cert.scope == "above" and 400 <= cert.released <= 425


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32, np.uint8])
def test_kinds_of_losses(kind: type) -> None:
    expected = certify(losses=WRONG.astype(float), scores=SCORES, tolerance=0.05, confidence=0.9)
    cert = certify(losses=WRONG.astype(kind), scores=SCORES, tolerance=0.05, confidence=0.9)
    assert cert.threshold == expected.threshold


def test_lists_work() -> None:
    assert certify(losses=[0] * 60, scores=list(range(60)), tolerance=0.05).scope == "all"


def test_the_order_of_rows_changes_nothing_for_0_1_losses() -> None:
    order = np.random.default_rng(1).permutation(1500)
    first = certify(losses=WRONG, scores=SCORES, tolerance=0.05, confidence=0.9)
    other = certify(losses=WRONG[order], scores=SCORES[order], tolerance=0.05, confidence=0.9)
    assert first.threshold == other.threshold


def test_a_monotone_change_of_scores_changes_nothing() -> None:
    first = certify(losses=WRONG, scores=SCORES, tolerance=0.05, confidence=0.9)
    other = certify(losses=WRONG, scores=np.exp(3 * SCORES) - 7, tolerance=0.05, confidence=0.9)
    assert first.released == other.released


def test_graded_losses() -> None:
    cert = certify(losses=WRONG * 0.5, scores=SCORES, tolerance=0.05, confidence=0.9)
    assert cert.scope == "above" and 0.4 < cert.coverage <= 1.0
    assert cert.risk_seen is not None and cert.risk_seen < 0.05


def test_sorted_files_do_not_help_graded_losses() -> None:
    """Bets are placed in a random order: a file sorted by loss is no different."""
    losses = np.sort(np.random.default_rng(0).choice([0, 0.3], 300, p=[0.6, 0.4]))
    assert certify(losses=losses, tolerance=0.1).scope == "nothing"


def test_clusters_cost_coverage() -> None:
    cluster = np.repeat(np.arange(150), 10)
    good = np.random.default_rng(5).random(150) < 0.99
    losses = (~good[cluster]).astype(float)
    cert = certify(losses=losses, clusters=cluster, tolerance=0.05)
    rows = certify(losses=losses, tolerance=0.05)
    assert cert.clusters == 150 and cert.labels == 1500
    assert rows.scope == "all"
    assert any("cluster" in line for line in cert.assumptions) and any(
        "10" in line for line in cert.assumptions
    )
    assert any("no cluster was given" in line for line in rows.assumptions)


def test_clusters_of_one_are_rows() -> None:
    clustered = certify(
        losses=WRONG, scores=SCORES, clusters=np.arange(1500) + 10, tolerance=0.05, confidence=0.9
    )
    assert (
        clustered.threshold == certify(losses=WRONG, scores=SCORES, tolerance=0.05, confidence=0.9).threshold
    )
    assert not any("no cluster was given" in line for line in clustered.assumptions)


def test_cluster_names_may_be_text() -> None:
    names = np.array([f"call {i // 5}" for i in range(1500)])
    coded = certify(losses=WRONG, scores=SCORES, clusters=np.arange(1500) // 5, tolerance=0.3)
    named = certify(losses=WRONG, scores=SCORES, clusters=names, tolerance=0.3)
    assert named.clusters == coded.clusters == 300 and coded.scope != "nothing"


def test_a_larger_cluster_to_come_makes_it_harder() -> None:
    cluster = np.repeat(np.arange(300), 5)
    small = certify(losses=np.zeros(1500), clusters=cluster, tolerance=0.05)
    large = certify(losses=np.zeros(1500), clusters=cluster, tolerance=0.05, largest_cluster=100)
    assert small.scope == "all" and large.scope == "nothing"


def test_weights_count() -> None:
    """Wrong items were labelled four times less often than fine ones."""
    losses = np.zeros(800)
    losses[::50] = 1
    plain = certify(losses=losses, tolerance=0.05)
    heavy = certify(losses=losses, weights=np.where(losses == 1, 4.0, 1.0), tolerance=0.05)
    assert plain.scope == "all" and heavy.scope == "nothing"
    light = certify(losses=losses, weights=np.where(losses == 1, 0.25, 1.0), tolerance=0.05)
    assert light.scope == "all" and light.risk_seen == pytest.approx(4 / (784 + 4))


def test_several_losses_hold_together() -> None:
    harmful = WRONG & (np.random.default_rng(2).random(1500) < 0.05)
    cert = certify(
        losses={"wrong": WRONG, "harmful": harmful},
        scores=SCORES,
        tolerance={"wrong": 0.15, "harmful": 0.02},
    )
    alone = certify(losses=WRONG, scores=SCORES, tolerance=0.15)
    assert cert.scope == "above" and [risk["name"] for risk in cert.risks] == ["wrong", "harmful"]
    assert cert.risks[1]["risk_bound"] == 0.02 and cert.tolerance == 0.15
    assert cert.coverage <= alone.coverage
    assert "0.02" in json.dumps(cert.to_json())


def test_slices_get_a_line_each() -> None:
    slices = np.where(np.arange(1500) % 3 == 0, "de", "fr")
    cert = certify(losses=WRONG, scores=SCORES, slices=slices, tolerance=0.2)
    assert [line["name"] for line in cert.slices] == ["de", "fr"]
    assert sum(line["released"] for line in cert.slices) == cert.released
    assert all(line["risk_seen"] < line["risk_bound"] < 0.3 for line in cert.slices)


def test_each_slice_certified() -> None:
    slices = np.where(np.arange(1500) % 3 == 0, "bad", "good")
    losses = np.where(slices == "bad", True, WRONG)
    cert = certify(losses=losses, scores=SCORES, slices=slices, tolerance=0.1, each_slice=True)
    by_name = {line["name"]: line for line in cert.slices}
    assert by_name["bad"]["scope"] == "nothing" and by_name["good"]["scope"] == "above"
    alone = certify(
        losses=WRONG[slices == "good"], scores=SCORES[slices == "good"], tolerance=0.1, comparisons=2
    )
    assert by_name["good"]["threshold"] == alone.threshold


def test_comparisons_divide_the_level() -> None:
    alone = certify(losses=np.zeros(60), tolerance=0.05)
    halved = certify(losses=np.zeros(60), tolerance=0.05, comparisons=2)
    assert alone.scope == "all" and halved.scope == "nothing"
    assert any("2 certificates" in line for line in halved.assumptions)


def test_history_moves_the_start_only() -> None:
    """A flat 4% risk: without history the walk starts early and often stops; history says start late."""
    rng = np.random.default_rng(11)
    past = (rng.random(4000) < 0.03, rng.random(4000))
    with_past, without = [], []
    for _ in range(30):
        losses, scores = rng.random(700) < 0.03, rng.random(700)
        with_past.append(certify(losses=losses, scores=scores, tolerance=0.05, history=past).coverage)
        without.append(certify(losses=losses, scores=scores, tolerance=0.05).coverage)
    assert np.mean(with_past) > np.mean(without) + 0.03


def test_advice_says_what_it_takes() -> None:
    cert = certify(losses=np.zeros(100), scores=np.arange(100), tolerance=0.001)
    text = " ".join(cert.advice)
    assert "12,000 labels" in text and "tolerance of 3%" in text
    assert certify(losses=np.zeros(100), tolerance=0.05).advice == ()


def test_advice_names_the_slice_that_spoils_it() -> None:
    slices = np.array(["de", "fr"] * 500)
    losses = (slices == "de") & (np.arange(1000) % 4 == 0)
    cert = certify(losses=losses, scores=np.arange(1000) % 7, slices=slices, tolerance=0.02)
    assert cert.scope == "nothing" and any("without the slice de" in line for line in cert.advice)


def test_hopeless_scores_are_told() -> None:
    cert = certify(losses=np.ones(300), scores=np.arange(300), tolerance=0.05)
    assert any("hardly help" in line for line in cert.advice)


def test_table_and_arrays_agree() -> None:
    table = Table(
        losses=WRONG.astype(float), scores=SCORES, names={"loss": "bad", "score": "sure"}, sha256="ab"
    )
    cert = certify(table, tolerance=0.05, confidence=0.9)
    arrays = certify(losses=WRONG, scores=SCORES, tolerance=0.05, confidence=0.9)
    assert cert.threshold == arrays.threshold and cert.data_sha256 == "ab" and cert.names["score"] == "sure"
    assert arrays.data_sha256 is not None and len(arrays.data_sha256) == 64
    assert cert.version == tolerate.__version__ and cert.made.endswith("+00:00")


def test_certificates_survive_json() -> None:
    cert = certify(losses=WRONG, scores=SCORES, slices=WRONG, tolerance=0.05, confidence=0.9)
    assert Certificate.loads(cert.dumps()) == cert


BAD = [
    ({"losses": [0, 2]}, DataError, "row 1 is 2"),
    ({"losses": [0, np.nan]}, DataError, "row 1 is nan"),
    ({"losses": [-1, 0]}, DataError, "row 0 is -1"),
    ({"losses": []}, DataError, "at least one"),
    ({"losses": np.zeros((2, 2))}, DataError, "shape"),
    ({"losses": ["x", "y"]}, DataError, "numbers"),
    ({"losses": [0, 1], "scores": [1]}, DataError, "2 losses"),
    ({"losses": [0, 1], "clusters": [1, 2, 3]}, DataError, "clusters"),
    ({"losses": [0, 1], "scores": ["a", "b"]}, DataError, "numbers"),
    ({"losses": [0, 1], "weights": [0, 1]}, DataError, "weight of row 0"),
    ({"losses": [0, 1], "weights": [1, np.inf]}, DataError, "weight of row 1"),
    ({"losses": [0, 1], "clusters": [1, np.nan]}, DataError, "NaN"),
    ({"losses": [0, 1], "tolerance": 2}, OptionError, "Did you mean 0.02"),
    ({"losses": [0, 1], "tolerance": 0}, OptionError, "outside"),
    ({"losses": [0, 1], "tolerance": "a lot"}, OptionError, "number"),
    ({"losses": [0, 1], "confidence": 95}, OptionError, "Did you mean 0.95"),
    ({"losses": [0, 1], "comparisons": 0}, OptionError, "comparisons"),
    ({"losses": [0, 1], "each_slice": True}, OptionError, "slices"),
    ({"losses": {}}, DataError, "empty"),
    ({"losses": {"a": [0]}, "tolerance": {"b": 0.1}}, OptionError, "names"),
    ({}, OptionError, "either a table or losses"),
    ({"table": Table(np.zeros(3)), "losses": [0]}, OptionError, "either a table or losses"),
    ({"table": Table(np.zeros(3)), "scores": [0, 1, 2]}, OptionError, "own columns"),
]


@pytest.mark.parametrize(("arguments", "kind", "text"), BAD)
def test_bad_input_is_refused(arguments: dict, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        certify(**{"tolerance": 0.05, **arguments})


@pytest.mark.parametrize("n", [1, 2, 5, 44, 45, 46, 50, 100])
def test_small_sets_are_never_silly(n: int) -> None:
    fine = certify(losses=np.zeros(n), scores=np.arange(n), tolerance=0.05, confidence=0.9)
    assert fine.proven == (n >= 50) or 45 <= n < 50
    assert not certify(losses=np.ones(n), scores=np.arange(n), tolerance=0.5).proven


def test_sharp_sizes_are_sharp() -> None:
    sizes = sharp_sizes(np.arange(30), 0.05, 0.1)
    assert np.all(binomial_p(np.arange(30), sizes, 0.05) <= 0.1)
    assert np.all(binomial_p(np.arange(30), sizes - 1, 0.05) > 0.1)


@pytest.mark.parametrize(
    ("n", "tolerance"), [(50, 0.05), (1000, 0.02), (10**6, 0.001), (10**7, 0.2), (30, 0.9)]
)
def test_sizes_are_ordered_and_end_with_everything(n: int, tolerance: float) -> None:
    sizes = prefix_sizes(n, tolerance, 0.05)
    if zero_failure_size(tolerance, 0.05) > n:
        assert not len(sizes)
    else:
        assert sizes[0] == zero_failure_size(tolerance, 0.05) and sizes[-1] == n
        assert np.all(np.diff(sizes) > 0) and len(sizes) < 1200


def test_critical_is_the_most_that_passes() -> None:
    n = np.array([0, 10, 45, 500, 10**6])
    most = max_errors(n, 0.05, 0.1)
    assert most.tolist()[:4] == [-1, -1, 0, 18]
    assert np.all(binomial_p(most[2:], n[2:], 0.05) <= 0.1) and np.all(
        binomial_p(most[2:] + 1, n[2:], 0.05) > 0.1
    )


def test_walk_stops_at_the_first_failure() -> None:
    good = [True, True, False, True]
    assert last_passing(4, 0, lambda step: good[step]) == 1
    assert last_passing(4, 2, lambda step: good[step]) is None
    assert last_passing(4, 3, lambda step: good[step]) == 3
    assert thin_sizes(np.array([10, 11, 12, 20, 21]), 1.2).tolist() == [10, 12, 20, 21]
