"""An audit keeps its promise exactly, asks for few labels, and can be stopped, resumed and corrected."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.draws import draw_order
from tolerate.stats.audit.optimal_plan import power_plan, robust_plan
from tolerate.stats.audit.parts import nested_parts
from tolerate.stats.audit.stopping_plan import StoppingPlan, false_certificate, forecast
from tolerate.stats.hypergeometric import allowed_wrong, zero_failure

NOBODY = np.empty(0, np.int64)


def finish(audit: Audit, losses: np.ndarray) -> Audit:
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    return audit


def batch(items: int, wrong: int, seed: int = 0) -> np.ndarray:
    losses = np.zeros(items)
    losses[np.random.default_rng(seed).permutation(items)[:wrong]] = 1
    return losses


def slow_error(plan: StoppingPlan, wrong: int) -> Fraction:
    """Chance of a certificate, by counting label sequences in exact integers (first passage, no float)."""
    first = []
    for k, t in enumerate(plan.certify_at[:wrong].tolist()):
        ways = math.comb(t, k) - sum(
            f * math.comb(t - s, k - j)
            for j, (s, f) in enumerate(zip(plan.certify_at.tolist(), first, strict=False))
        )
        first.append(ways)
    batches = math.comb(plan.items, wrong)
    return sum(
        (
            Fraction(f * math.comb(plan.items - t, wrong - k), batches)
            for k, (f, t) in enumerate(zip(first, plan.certify_at.tolist(), strict=False))
        ),
        Fraction(0),
    )


class TestPlan:
    def test_robust_plan_meets_its_targets(self) -> None:
        plan = robust_plan(10_000, 200, 0.95)
        assert false_certificate(plan) <= 0.05
        assert forecast(plan, 50).mean <= 370
        assert forecast(plan, 100).mean <= 915
        assert forecast(plan, 0).mean <= 192

    @pytest.mark.parametrize(("hoped", "labels"), [(50, 285), (100, 700)])
    def test_power_plan_meets_its_targets(self, hoped: int, labels: int) -> None:
        plan = power_plan(10_000, 200, 0.95, hoped, 0.9)
        outlook = forecast(plan, hoped)
        assert false_certificate(plan) <= 0.05
        assert outlook.proven >= 0.9
        assert outlook.mean <= labels

    def test_error_equals_the_count_in_exact_integers(self) -> None:
        plan = robust_plan(10_000, 200, 0.95)
        exact = slow_error(plan, 201)
        assert exact <= Fraction(5, 100)
        assert false_certificate(plan) == pytest.approx(float(exact), rel=1e-8)

    @pytest.mark.parametrize(
        ("items", "allowed", "confidence"),
        [
            (1, 0, 0.9),
            (10, 0, 0.95),
            (10, 2, 0.95),
            (12, 5, 0.8),
            (60, 6, 0.9),
            (300, 150, 0.95),
            (997, 9, 0.99),
        ],
    )
    def test_small_plans_keep_the_error_in_exact_integers(
        self, items: int, allowed: int, confidence: float
    ) -> None:
        plan = robust_plan(items, allowed, confidence)
        assert slow_error(plan, allowed + 1) <= Fraction(1 - confidence) + Fraction(1, 10**12)

    @pytest.mark.parametrize("worse", [1, 5, 40])
    def test_a_worse_batch_is_certified_less_often(self, worse: int) -> None:
        for plan in (robust_plan(500, 50, 0.9), power_plan(500, 50, 0.9, 20, 0.8)):
            assert false_certificate(plan, 51 + worse) <= false_certificate(plan) <= 0.1

    def test_forecast_sums_to_one_and_is_surely_proven(self) -> None:
        plan = robust_plan(2_000, 60, 0.95)
        for wrong in (0, 20, 60):
            assert forecast(plan, wrong).proven == pytest.approx(1, abs=1e-9)
        assert forecast(plan, 61).proven == pytest.approx(false_certificate(plan))

    def test_forecast_of_an_audit_that_fails_equals_simulation(self) -> None:
        plan, rng = robust_plan(50, 5, 0.9), np.random.default_rng(5)
        ends = []
        for _ in range(4000):
            wrong = 0
            for t, loss in enumerate(rng.permutation(batch(50, 9)), start=1):
                wrong += int(loss)
                if plan.verdict(t, wrong) != "open":
                    ends.append(t)
                    break
        assert forecast(plan, 9).mean == pytest.approx(np.mean(ends), abs=4 * np.std(ends) / math.sqrt(4000))

    @pytest.mark.parametrize(
        ("tolerance", "labels"), [(0.005, 570), (0.01, 291), (0.02, 147), (0.05, 59), (0.2, 14)]
    )
    def test_zero_failure_sizes(self, tolerance: float, labels: int) -> None:
        assert zero_failure(10_000, allowed_wrong(10_000, tolerance), 0.95) == labels

    def test_large_batches_have_a_plan_too(self) -> None:
        plan = robust_plan(1_000_000, 20_000, 0.95)
        assert false_certificate(plan) <= 0.05
        assert forecast(plan, 5_000).mean < 410
        assert plan.verdict(1_000_000, 20_000) == "proven"

    def test_small_batches_say_that_all_must_be_labelled(self) -> None:
        assert robust_plan(10, 0, 0.95).certify_at.tolist() == [10]
        assert "every item must be labelled" in Audit(10, 0.02, seed=1).outlook

    def test_peeking_at_the_fixed_p_value_is_caught(self) -> None:
        """The broken twin: certify as soon as the fixed-sample hypergeometric p-value is at most 5%."""
        certify_at, t = [], 0
        paths = [1.0]
        for k in range(201):
            while t <= 10_000 and sum(_hypergeometric(10_000, 201, t, j) for j in range(k + 1)) > 0.05:
                t += 1
            certify_at.append(t)
            if k > 14:
                break
        assert paths and certify_at[:1] == [147]
        rest = [10_000 - 200 + k for k in range(len(certify_at), 201)]
        twin = StoppingPlan(10_000, 200, 0.95, np.array(certify_at + rest), NOBODY, 201)
        assert false_certificate(twin) > 0.15


def _hypergeometric(items: int, wrong: int, t: int, k: int) -> float:
    if k > t or wrong - k > items - t:
        return 0.0
    return math.exp(
        math.lgamma(t + 1)
        - math.lgamma(k + 1)
        - math.lgamma(t - k + 1)
        + math.lgamma(items - t + 1)
        - math.lgamma(wrong - k + 1)
        - math.lgamma(items - t - wrong + k + 1)
        - math.lgamma(items + 1)
        + math.lgamma(wrong + 1)
        + math.lgamma(items - wrong + 1)
    )


class TestEveryBatch:
    """All 2^n batches, through the real object: nothing is simulated."""

    @pytest.mark.parametrize("options", [{}, {"expected": 0.1, "power": 0.5}, {"graded": True}])
    def test_false_certificates(self, options: dict) -> None:
        items, tolerance, confidence = 9, 0.25, 0.7
        certified = dict.fromkeys(range(items + 1), 0)
        for losses in itertools.product((0.0, 1.0), repeat=items):
            audit = finish(Audit(items, tolerance, confidence, seed=3, **options), np.array(losses))
            certified[int(sum(losses))] += audit.proven
        for wrong, count in certified.items():
            share = count / math.comb(items, wrong)
            if wrong > allowed_wrong(items, tolerance):
                assert share <= 1 - confidence
            elif not options:
                assert share == 1
        if not options:
            assert certified[3] / math.comb(9, 3) == pytest.approx(false_certificate(robust_plan(9, 2, 0.7)))

    @pytest.mark.parametrize("confidence", [0.6, 0.8])
    def test_a_part_is_never_released_wrongly_too_often(self, confidence: float) -> None:
        """Over all draws: what is released exceeds the tolerance at most so often, for every batch and judge."""
        scores = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
        for losses in (
            (1, 1, 0, 0, 0, 0, 1),
            (1, 0, 1, 1, 0, 0, 0),
            (0, 0, 1, 1, 1, 0, 0),
            (1, 1, 1, 0, 0, 0, 0),
        ):
            truth, broken, runs = np.array(losses, float), 0, 300
            for seed in range(runs):
                cert = finish(Audit(7, 0.2, confidence, seed=seed, scores=scores), truth).certificate
                out = scores >= (-1 if cert.threshold is None else cert.threshold)
                broken += cert.proven and truth[out].mean() > 0.2
            assert broken / runs <= 1 - confidence + 3 * math.sqrt(confidence * (1 - confidence) / runs)


class TestAudit:
    def test_a_clean_batch_is_proven(self) -> None:
        cert = finish(Audit(10_000, 0.02, seed=7), np.zeros(10_000)).certificate
        assert (cert.scope, cert.coverage, cert.labels, cert.risk_seen) == ("all", 1.0, 190, 0.0)
        assert cert.risk_bound == pytest.approx(0.02)

    def test_a_bad_batch_is_hopeless_and_says_why(self) -> None:
        audit = finish(Audit(200, 0.05, seed=1), batch(200, 100))
        assert audit.certificate.scope == "nothing"
        assert audit.certificate.coverage == 0
        assert audit.hopeless == "11 wrong items were found, and only 10 of 200 may be wrong"
        assert audit.certificate.advice == (audit.hopeless,)

    def test_it_gives_up_when_asked_to(self) -> None:
        audit = finish(Audit(10_000, 0.02, seed=1, expected=0.005, power=0.9), batch(10_000, 600))
        assert audit.labels < 200
        assert "looks worse" in str(audit.hopeless)

    def test_everything_labelled_is_exact(self) -> None:
        cert = finish(Audit(20, 0.1, seed=1), batch(20, 2, seed=1)).certificate
        assert cert.proven
        assert cert.risk_bound is not None and 0.05 <= cert.risk_bound <= 0.1

    def test_the_order_is_drawn_and_kept(self) -> None:
        assert draw_order(1000, 5).tolist() == draw_order(1000, 5).tolist() != draw_order(1000, 6).tolist()
        assert sorted(draw_order(1000, 5)) == list(range(1000))
        audit = Audit(50, 0.1, seed=9)
        assert audit.next() == audit.next() == draw_order(50, 9)[0]
        with pytest.raises(DataError, match="label items in the order drawn"):
            audit.record((audit.next() + 1) % 50, 0)

    def test_every_order_is_equally_likely(self) -> None:
        counts = np.unique([draw_order(4, seed) for seed in range(4800)], axis=0, return_counts=True)[1]
        assert len(counts) == 24
        assert ((counts - 200) ** 2 / 200).sum() < 52  # chi-square, 23 degrees: 5e-4

    def test_it_resumes_to_the_same_state(self) -> None:
        losses = batch(500, 5, seed=2)
        whole = finish(Audit(500, 0.05, seed=11), losses)
        audit = Audit(500, 0.05, seed=11)
        for step in itertools.count():
            if not audit.open:
                break
            item = audit.next()
            audit.record(item, losses[item])
            if step % 7 == 0:
                audit = Audit.from_json(json.loads(json.dumps(audit.to_json())))
        assert audit.certificate == whole.certificate
        assert audit.to_json() == whole.to_json()

    def test_the_last_draw_moves_nothing_before_it(self) -> None:
        first, second = Audit(300, 0.05, seed=4), Audit(300, 0.05, seed=4)
        for _ in range(20):
            item = first.next()
            assert item == second.next()
            first.record(item, 0)
            second.record(item, 0)
        first.record(first.next(), 1)
        second.record(second.next(), 0)
        assert first.to_json()["readings"][:-1] == second.to_json()["readings"][:-1]

    def test_a_second_reader_can_only_make_it_harder(self) -> None:
        audit = finish(Audit(1000, 0.05, seed=3), np.zeros(1000))
        some = next(iter(audit.losses))
        audit.record(some, 0, reader="second")
        assert audit.proven
        audit.record(some, 1, reader="second")
        assert not audit.proven and audit.open
        audit.record(some, 0, reader="third")
        assert audit.losses[some] == 1

    def test_a_correction_rebuilds_the_evidence(self) -> None:
        losses = batch(1000, 80, seed=1)
        audit = Audit(1000, 0.05, seed=3)
        while audit.open and sum(audit.losses.values()) < 1:
            audit.record(audit.next(), losses[audit.next()])
        wrong = next(item for item, loss in audit.losses.items() if loss)
        audit.correct(wrong, 0)
        assert sum(audit.losses.values()) == 0
        finish(audit, np.zeros(1000))
        assert audit.labels == 69
        assert (
            audit.certificate.assumptions[-1] == "losses were corrected downwards after labelling (count: 1)"
        )
        again = Audit.from_json(audit.to_json())
        assert again.certificate == audit.certificate
        with pytest.raises(DataError, match="never labelled"):
            audit.correct(next(i for i in range(1000) if i not in audit.losses), 1)

    def test_plan_before_starting(self) -> None:
        audit = Audit(10_000, 0.02, seed=1, expected=0.005, power=0.9)
        rows = audit.plan()
        assert [row.wrong for row in rows] == [0, 25, 50, 100, 150]
        assert rows[2].proven >= 0.9
        assert audit.labels == 0

    @pytest.mark.parametrize(
        "options",
        [
            {"items": 0},
            {"tolerance": 1.2},
            {"tolerance": -0.1},
            {"confidence": 1.0},
            {"expected": 0.01},
            {"expected": 0.5, "power": 0.9},
            {"expected": 0.01, "power": 1.5},
            {"graded": True, "expected": 0.01, "power": 0.9},
            {"graded": True, "tolerance": 0.0},
        ],
    )
    def test_nonsense_is_refused(self, options: dict) -> None:
        with pytest.raises(OptionError):
            Audit(**{"items": 100, "tolerance": 0.1, "seed": 1, **options})

    def test_bad_losses_and_records_are_refused(self) -> None:
        audit = Audit(100, 0.1, seed=1)
        for loss in (0.5, -1, math.nan, 2):
            with pytest.raises(DataError):
                audit.record(audit.next(), loss)
        with pytest.raises(DataError, match="not the record of an audit"):
            Audit.from_json({"items": 3})
        finish(audit, np.zeros(100))
        with pytest.raises(OptionError, match="closed"):
            audit.next()


class TestGraded:
    def test_mild_losses_are_proven_sooner_than_total_ones_of_equal_sum(self) -> None:
        labels = {}
        for loss, wrong in ((0.25, 240), (1.0, 60)):
            audits = [
                finish(Audit(2000, 0.1, seed=seed, graded=True), loss * batch(2000, wrong))
                for seed in range(30)
            ]
            assert all(audit.proven for audit in audits)
            labels[loss] = np.mean([audit.labels for audit in audits])
        assert labels[0.25] < labels[1.0]

    def test_a_batch_beyond_the_tolerance_is_hopeless(self) -> None:
        audit = finish(Audit(60, 0.1, seed=2, graded=True), np.full(60, 0.4))
        assert "all that may be lost" in str(audit.hopeless)

    def test_forecast_matches_an_audit(self) -> None:
        rows = Audit(400, 0.2, seed=2, graded=True).plan(rates=(0.0, 0.05, 0.5))
        assert rows[0].mean == finish(Audit(400, 0.2, seed=2, graded=True), np.zeros(400)).labels
        assert rows[0].mean < rows[1].mean
        assert rows[2].proven < 0.1


class TestParts:
    def judged(self, seed: int, rate: float = 0.02, caught: float = 0.95, alarms: float = 0.02) -> tuple:
        rng = np.random.default_rng(seed)
        losses = (rng.permutation(10_000) < rate * 10_000).astype(float)
        flagged = rng.random(10_000) < np.where(losses == 1, caught, alarms)
        return losses, 1.0 - flagged

    def test_withholding_releases_what_could_not_be_certified_whole(self) -> None:
        labels, released = [], []
        for seed in range(16):
            losses, scores = self.judged(seed)
            audit = finish(Audit(10_000, 0.02, seed=seed, scores=scores), losses)
            labels.append(audit.labels)
            released.append(audit.certificate.coverage)
        assert np.mean(labels) <= 240
        assert np.mean(released) >= 0.96

    def test_a_useless_judge_costs_little(self) -> None:
        with_judge, without, rng = [], [], np.random.default_rng(0)
        for seed in range(40):
            losses = batch(10_000, 50, seed)
            scores = rng.random(10_000)
            judged = finish(Audit(10_000, 0.02, seed=seed, scores=scores), losses)
            with_judge.append(judged.labels)
            without.append(finish(Audit(10_000, 0.02, seed=seed), losses).labels)
            assert judged.certificate.coverage >= 0.92
        assert np.mean(with_judge) <= 1.1 * np.mean(without)

    def test_the_rule_released_is_the_part_proven(self) -> None:
        losses, scores = self.judged(3)
        cert = finish(Audit(10_000, 0.02, seed=3, scores=scores), losses).certificate
        assert cert.scope == "above" and cert.threshold == 1.0
        assert losses[scores >= 1].mean() <= 0.02

    def test_parts_are_nested_and_end_with_the_whole(self) -> None:
        parts = nested_parts(np.arange(100.0), 100)
        sizes = [int(p.members.sum()) for p in parts]
        assert sizes == [92, 96, 98, 100]
        for small, large in itertools.pairwise(parts):
            assert not (small.members & ~large.members).any()

    def test_missing_scores_are_withheld_first(self) -> None:
        scores = np.arange(100.0)
        scores[:3] = np.nan
        assert [int(p.members.sum()) for p in nested_parts(scores, 100)] == [92, 96, 97, 100]
        assert not nested_parts(scores, 100)[0].members[:3].any()

    def test_equal_scores_stay_together(self) -> None:
        scores = np.r_[np.zeros(30), np.arange(1, 71)]
        assert [int(p.members.sum()) for p in nested_parts(scores, 100, withhold=(0.4, 0.1, 0))] == [60, 100]

    def test_scores_of_another_length_are_refused(self) -> None:
        with pytest.raises(DataError, match="one score per item"):
            Audit(10, 0.1, scores=[1.0] * 9)
        with pytest.raises(OptionError, match="withheld"):
            Audit(10, 0.1, scores=np.arange(10), withhold=(1.5,))

    def test_it_resumes_only_with_its_scores(self) -> None:
        losses, scores = self.judged(5)
        audit = finish(Audit(10_000, 0.02, seed=5, scores=scores), losses)
        assert Audit.from_json(audit.to_json(), scores=scores).certificate == audit.certificate
        with pytest.raises(DataError, match="not those the audit began with"):
            Audit.from_json(audit.to_json(), scores=scores[::-1])
