"""A watch alarms falsely at most as often as it says, over all time, and notices a broken promise soon."""

import itertools
import json
import math

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.records import Certificate, Decision
from tolerate.stats.monitor.watch import Alarm, EvidenceLine, Watch, anytime_upper


def promise(**changes: object) -> Certificate:
    fields = {
        "tolerance": 0.02,
        "confidence": 0.95,
        "scope": "above",
        "threshold": 0.8,
        "coverage": 0.6,
        "risk_bound": 0.019,
        "risk_seen": 0.01,
        "labels": 1000,
        "clusters": 1000,
        "released": 600,
        "method": "test",
    }
    return Certificate(**{**fields, **changes})  # type: ignore[arg-type]


def stream(seed: int, before: float, after: float, change: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random(n) < np.where(np.arange(n) < change, before, after)).astype(float)


def line(tolerance: float, **changes: object) -> EvidenceLine:
    return EvidenceLine(
        **{"name": "", "tolerance": tolerance, "limit": 1e9, "forever": True, "largest": 1.0, **changes}
    )  # type: ignore[arg-type]


def wealth(tolerance: float, losses: tuple[float, ...], **changes: object) -> float:
    watched = line(tolerance, **changes)
    for loss in losses:
        watched.update(loss, 1.0)
    return math.exp(watched.log_evidence)


class TestValidity:
    @pytest.mark.parametrize("tolerance", [0.02, 0.3, 0.7])
    def test_evidence_does_not_grow_while_the_promise_holds(self, tolerance: float) -> None:
        """Exactly, over every prefix of up to seven losses, at the edge of the null and inside it."""
        for length in range(8):
            for prefix in itertools.product((0.0, 1.0), repeat=length):
                now, wrong, fine = (wealth(tolerance, prefix + more) for more in ((), (1.0,), (0.0,)))
                for rate in (tolerance, tolerance / 2, 0.0):
                    assert rate * wrong + (1 - rate) * fine <= now * (1 + 1e-12)

    def test_the_e_detector_grows_by_at_most_one_a_label(self) -> None:
        """What makes its average run length at least the threshold."""
        for prefix in itertools.product((0.0, 1.0), repeat=6):
            now, wrong, fine = (wealth(0.3, prefix + more, forever=False) for more in ((), (1.0,), (0.0,)))
            assert 0.3 * wrong + 0.7 * fine <= now + 1 + 1e-9

    def test_starting_anew_without_paying_is_caught(self) -> None:
        """The broken twin: the best of all starting times, against the same threshold."""
        grown = 0.0
        for prefix in itertools.product((0.0, 1.0), repeat=6):
            best = [
                max(wealth(0.3, (*prefix, last)[start:], forever=False) for start in range(7))
                for last in (0.0, 1.0)
            ]
            now = max(wealth(0.3, prefix[start:], forever=False) for start in range(6))
            grown = max(grown, 0.7 * best[0] + 0.3 * best[1] - now)
        assert grown > 0.1

    def test_false_alarms_at_the_edge_are_rare(self) -> None:
        runs = 150
        false = sum(
            Watch(tolerance=0.02, confidence=0.8)._whole.update_many(x, np.ones(5000)).max() >= math.log(5)
            for x in (stream(seed, 0.02, 0.02, 0, 5000) for seed in range(runs))
        )
        assert false / runs <= 0.2
        assert false > 0

    def test_run_length_is_kept(self) -> None:
        first = []
        for seed in range(80):
            watch = Watch(tolerance=0.05, run_length=300)
            watch.update_many(stream(seed, 0.05, 0.05, 0, 6_000))
            assert watch.alarm
            first.append(watch.alarm.labels)
        assert np.mean(first) >= 300

    def test_bound_covers_the_average_risk_at_all_times(self) -> None:
        broken, runs = 0, 100
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            risks = np.where(np.arange(2000) % 500 < 250, 0.02, 0.1)
            losses = (rng.random(2000) < risks).astype(float)
            sums, means = np.cumsum(losses), np.cumsum(risks) / np.arange(1, 2001)
            looks = np.r_[1:60:6, 60:2000:120]
            broken += any(anytime_upper(sums[t - 1], int(t), 0.9) < means[t - 1] for t in looks)
        assert broken / runs <= 0.1

    def test_bound_shrinks_towards_the_mean(self) -> None:
        bounds = [anytime_upper(0.01 * n, n, 0.95) for n in (100, 1000, 10_000, 100_000)]
        assert bounds == sorted(bounds, reverse=True)
        assert 0.01 < bounds[-1] < 0.012
        assert anytime_upper(0, 1, 0.95) <= 1


class TestDelay:
    def test_a_change_is_noticed_within_1350_labels(self) -> None:
        delays = []
        for seed in range(40):
            watch = Watch(tolerance=0.02, confidence=0.95)
            watch.update_many(stream(seed, 0.01, 0.04, 2000, 7_000))
            assert watch.alarm and watch.alarm.labels > 2000
            delays.append(watch.alarm.labels - 2000)
        assert np.mean(delays) <= 1100

    def test_the_e_detector_is_sooner(self) -> None:
        delays = []
        for seed in range(40):
            watch = Watch(tolerance=0.02, run_length=10_000)
            watch.update_many(stream(seed, 0.01, 0.04, 2000, 7_000))
            delays.append(watch.alarm.labels - 2000 if watch.alarm else 10_000)
        assert np.mean(delays) <= 1216

    def test_it_says_when_the_trouble_began(self) -> None:
        since = []
        for seed in range(40):
            watch = Watch(tolerance=0.02)
            watch.update_many(stream(seed, 0.005, 0.1, 2000, 6000))
            assert watch.alarm
            since.append(watch.alarm.since)
        assert abs(np.median(since) - 2000) < 60


class TestWatch:
    @pytest.mark.parametrize(
        "options", [{}, {"run_length": 500.0}, {"max_weight": 4.0}, {"slices": ("en", "zh")}]
    )
    def test_many_at_once_equals_one_by_one(self, options: dict) -> None:
        rng = np.random.default_rng(8)
        losses, weights = rng.random(900) * 0.1, rng.random(900) * options.get("max_weight", 1.0) + 1e-9
        weights = np.minimum(weights, options.get("max_weight", 1.0))
        slices = rng.choice(["en", "zh"], 900) if "slices" in options else None
        single, many = Watch(tolerance=0.05, **options), Watch(tolerance=0.05, **options)
        for place, (loss, weight) in enumerate(zip(losses, weights, strict=True)):
            single.update(loss, weight, None if slices is None else str(slices[place]))
        for part in np.split(np.arange(900), [1, 2, 300, 871]):
            many.update_many(losses[part], weights[part], None if slices is None else slices[part])
        assert single.evidence == pytest.approx(many.evidence, rel=1e-9)
        assert single.bound == pytest.approx(many.bound, rel=1e-6)
        assert [p[0] for p in single.history] == [p[0] for p in many.history]
        assert (single.alarm is None) == (many.alarm is None)
        if single.alarm and many.alarm:
            assert (single.alarm.labels, single.alarm.since) == (many.alarm.labels, many.alarm.since)
            assert single.alarm.seen == pytest.approx(many.alarm.seen)

    def test_an_alarm_inside_an_array_is_dated(self) -> None:
        losses = stream(1, 0.01, 0.2, 500, 3000)
        single, many = Watch(tolerance=0.02), Watch(tolerance=0.02)
        for loss in losses:
            single.update(loss)
        many.update_many(losses)
        assert single.alarm and many.alarm
        assert single.alarm.labels == many.alarm.labels
        assert single.alarm.since == many.alarm.since
        assert single.labels == many.labels == 3000

    def test_it_continues_from_json(self) -> None:
        losses = stream(3, 0.01, 0.05, 300, 1200)
        whole, parts = Watch(promise(), slices=("a",)), Watch(promise(), slices=("a",))
        whole.update_many(losses, slices=["a"] * 1200)
        for part in np.split(losses, 6):
            parts = Watch.from_json(json.loads(json.dumps(parts.to_json())))
            parts.update_many(part, slices=["a"] * len(part))
        assert parts.evidence == pytest.approx(whole.evidence)
        assert parts.alarm == pytest.approx(whole.alarm) if whole.alarm is None else parts.alarm is not None
        assert parts.labels == whole.labels

    def test_a_withdrawn_certificate_says_when_and_why(self) -> None:
        watch = Watch(promise())
        assert watch.certificate == promise()
        watch.update_many(np.tile([0.0, 0.0, 0.0, 0.0, 1.0], 60))
        assert watch.alarm
        cert = watch.certificate
        assert cert and cert.scope == "nothing" and cert.coverage == 0
        assert cert.decide(0.99) is Decision.REVIEW
        assert cert.advice == (str(watch.alarm),)
        assert f"label {watch.alarm.labels}" in cert.advice[0]

    def test_an_alarm_stays(self) -> None:
        watch = Watch(tolerance=0.1)
        watch.update_many(np.ones(30))
        alarm = watch.alarm
        watch.update_many(np.zeros(5000))
        assert watch.alarm == alarm
        assert watch.evidence < 20

    def test_a_bad_slice_is_named_while_the_whole_is_fine(self) -> None:
        rng = np.random.default_rng(2)
        slices = rng.choice(["en", "zh"], 6000, p=[0.9, 0.1])
        losses = (rng.random(6000) < np.where(slices == "zh", 0.12, 0.005)).astype(float)
        watch = Watch(tolerance=0.04, slices=("en", "zh"))
        watch.update_many(losses, slices=slices)
        assert [alarm.slice for alarm in watch.alarms] == ["zh"]
        assert watch.alarm and "in zh" in str(watch.alarm)

    def test_weights_undo_a_biased_share(self) -> None:
        """Risky items are reviewed four times as often; the risk of the whole keeps the promise."""
        rng, alarms, naive = np.random.default_rng(0), 0, 0
        for _ in range(60):
            risky = rng.random(12_000) < 0.2
            losses = (rng.random(12_000) < np.where(risky, 0.08, 0.0)).astype(float)  # .016 on average
            chance = np.where(risky, 0.8, 0.2)
            reviewed = rng.random(12_000) < chance
            honest, biased = Watch(tolerance=0.02, max_weight=1.0), Watch(tolerance=0.02)
            honest.update_many(losses[reviewed], 0.2 / chance[reviewed])
            biased.update_many(losses[reviewed])
            alarms += honest.alarm is not None
            naive += biased.alarm is not None
        assert alarms <= 5
        assert naive >= 55

    def test_history_stays_short(self) -> None:
        watch = Watch(tolerance=0.02)
        watch.update_many(np.zeros(10_000))
        labels = [point[0] for point in watch.history]
        assert 100 < len(labels) <= 256
        assert len(set(np.diff(labels))) == 1

    def test_nothing_before_a_loss_moves_when_it_changes(self) -> None:
        losses = stream(5, 0.03, 0.03, 0, 400)
        other = losses.copy()
        other[-1] = 1 - other[-1]
        first, second = (line(0.02).update_many(x, np.ones(400)) for x in (losses, other))
        assert (first[:-1] == second[:-1]).all()
        assert first[-1] != second[-1]

    def test_nonsense_is_refused(self) -> None:
        for options in (
            {},
            {"tolerance": 0.0},
            {"tolerance": 0.1, "confidence": 1.0},
            {"tolerance": 0.1, "run_length": 0.5},
            {"tolerance": 0.1, "max_weight": 0.0},
            {"tolerance": 0.1, "slices": ("a", "a")},
        ):
            with pytest.raises(OptionError):
                Watch(**options)  # type: ignore[arg-type]
        watch = Watch(tolerance=0.1, slices=("english",))
        for call in (
            lambda: watch.update(1.5),
            lambda: watch.update(math.nan),
            lambda: watch.update(0.5, weight=2.0),
            lambda: watch.update(0.5, slice="englsh"),
            lambda: watch.update_many([0.1, math.nan]),
            lambda: watch.update_many([0.1, 0.2], weights=[1.0]),
            lambda: watch.update_many([0.1], weights=[3.0]),
            lambda: Watch.from_json({"tolerance": 0.1}),
        ):
            with pytest.raises(DataError):
                call()
        assert watch.labels == 0

    def test_empty_updates_change_nothing(self) -> None:
        watch = Watch(tolerance=0.1)
        watch.update_many([])
        assert (watch.labels, watch.evidence, watch.alarm, watch.bound) == (0, 1.0, None, 1.0)

    def test_alarms_read_well(self) -> None:
        alarm = Alarm(labels=1200, evidence=25.3, since=800, seen=0.045, tolerance=0.02)
        assert str(alarm) == (
            "withdrawn at label 1,200: mean loss 4.5% since label 800, promised at most 2% (evidence 25 to 1)"
        )
