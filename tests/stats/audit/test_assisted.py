"""A judge may save labels, and never costs validity: whatever it says, the promise is kept."""

import itertools
import json
import math

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.stats.audit.assisted import (
    TRUST_WEIGHTS,
    JudgedAudit,
    assisted_upper,
    prediction_powered,
    stratified_mixture,
)
from tolerate.stats.audit.audit import Audit
from tolerate.stats.sequential import BETS, log_sum, threshold


class AssistedBetting:
    """The bettors behind `assisted_upper`, one label at a time: evidence against one tolerance, straight from the paper."""

    def __init__(self, tolerance: float, mean_prediction: float) -> None:
        self.tolerance, self.mean_prediction = tolerance, mean_prediction

    def start(self) -> np.ndarray:
        return np.zeros((len(TRUST_WEIGHTS), len(BETS)))

    def step(self, state: np.ndarray, loss: float, prediction: float) -> np.ndarray:
        trust = np.array([[t] for t, _ in TRUST_WEIGHTS])
        corrected = loss - trust * (prediction - self.mean_prediction)
        largest = 1 + trust * self.mean_prediction
        with np.errstate(divide="ignore"):
            return state + np.log1p(BETS * (self.tolerance - corrected) / (largest - self.tolerance))

    def log_wealth(self, state: np.ndarray) -> float:
        shares = np.log([[share] for _, share in TRUST_WEIGHTS]) - math.log(len(BETS))
        return log_sum((state + shares).ravel())


def finish(audit, losses):  # type: ignore[no-untyped-def]
    while audit.open:
        item = audit.next()
        audit.record(item, losses[item])
    return audit


def judged(seed: int, rate: float, caught: float, alarms: float, items: int = 10_000) -> tuple:
    rng = np.random.default_rng(seed)
    losses = (rng.permutation(items) < round(rate * items)).astype(float)
    return losses, rng.random(items) < np.where(losses == 1, caught, alarms)


class TestJudgedAudit:
    @pytest.mark.parametrize(
        "flagged", [(1, 1, 1, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0, 0, 0), (0,) * 8, (1,) * 8]
    )
    def test_a_bad_batch_is_rarely_certified_whatever_is_flagged(self, flagged: tuple) -> None:
        """All places for the wrong items, many draws: the worst batch for each judge."""
        confidence, tolerance = 0.7, 0.25  # 2 of 8 may be wrong
        certified = {"bad": [], "good": []}
        for wrong in itertools.combinations(range(8), 3):
            losses = np.zeros(8)
            losses[list(wrong)] = 1
            runs = [
                finish(JudgedAudit(flagged, tolerance, confidence, seed, pilot=1), losses)
                for seed in range(60)
            ]
            certified["bad"].append(np.mean([run.certificate.proven for run in runs]))
        noise = 4 * math.sqrt(0.3 * 0.7 / 30)  # the worst of 56 batches, each with 30 draws
        assert max(certified["bad"]) <= 1 - confidence + noise
        assert np.mean(certified["bad"]) <= 1 - confidence

    def test_a_good_judge_saves_labels(self) -> None:
        assisted, plain = [], []
        for seed in range(8):
            losses, flagged = judged(seed, 0.012, 0.98, 0.01)
            assisted.append(finish(JudgedAudit(flagged, 0.02, seed=seed), losses).labels)
            plain.append(finish(Audit(10_000, 0.02, seed=seed), losses).labels)
        assert np.mean(assisted) <= 0.8 * np.mean(plain)

    @pytest.mark.parametrize("caught", [0.0])
    def test_a_useless_or_hostile_judge_costs_at_most_a_tenth(self, caught: float) -> None:
        assisted, plain = [], []
        for seed in range(8):
            losses, flagged = judged(seed, 0.005, caught, 0.04)
            assisted.append(finish(JudgedAudit(flagged, 0.02, seed=seed), losses).labels)
            plain.append(finish(Audit(10_000, 0.02, seed=seed), losses).labels)
        assert np.mean(assisted) <= 1.1 * np.mean(plain)

    def test_flags_that_find_too_much_end_it(self) -> None:
        losses, flagged = judged(0, 0.1, 1.0, 0.0, items=400)
        audit = finish(JudgedAudit(flagged, 0.05, seed=0), losses)
        assert audit.certificate.scope == "nothing"
        assert audit.certificate.coverage == 0

    def test_it_resumes_to_the_same_state(self) -> None:
        losses, flagged = judged(1, 0.02, 0.9, 0.02, items=800)
        whole = finish(JudgedAudit(flagged, 0.05, seed=3), losses)
        audit = JudgedAudit(flagged, 0.05, seed=3)
        while audit.open:
            item = audit.next()
            audit.record(item, losses[item])
            if audit.labels % 25 == 0:
                audit = JudgedAudit.from_json(json.loads(json.dumps(audit.to_json())), flagged)
        assert audit.certificate == whole.certificate

    def test_nonsense_is_refused(self) -> None:
        for flagged in ([], [0.3, 0.2], [[True]]):
            with pytest.raises(DataError):
                JudgedAudit(flagged, 0.1)
        for options in (
            {"tolerance": 1.0},
            {"tolerance": 0.1, "confidence": 0.0},
            {"tolerance": 0.1, "pilot": -1},
        ):
            with pytest.raises(OptionError):
                JudgedAudit([True, False], **options)
        audit = JudgedAudit([True] * 5 + [False] * 5, 0.1)
        with pytest.raises(DataError, match="the order asks for"):
            audit.record((audit.next() + 1) % 10, 0)
        with pytest.raises(DataError, match="neither 0 nor 1"):
            audit.record(audit.next(), 0.5)
        with pytest.raises(DataError, match="not the record"):
            JudgedAudit.from_json({}, [True, False])


class TestStratified:
    @staticmethod
    def certified(sizes: tuple, wrong: tuple, tolerance: float, level: float, choose) -> float:  # type: ignore[no-untyped-def]
        """Exact chance of ever reaching the level, by walking every path of an adaptive sampling rule."""
        process = stratified_mixture(sizes, tolerance, hoped=(0.0, 0.25))

        def walk(state) -> float:  # type: ignore[no-untyped-def]
            if process.log_wealth(state) >= level:
                return 1.0
            if sum(state.labels) == sum(sizes):
                return 0.0
            place = choose(state, sizes)
            left = sizes[place] - state.labels[place]
            bad = wrong[place] - state.wrong[place]
            chance = 0.0
            if bad:
                chance += bad / left * walk(process.step(state, place, 1))
            if left > bad:
                chance += (left - bad) / left * walk(process.step(state, place, 0))
            return chance

        return walk(process.start())

    @pytest.mark.parametrize("wrong", [(3, 0), (2, 1), (1, 2), (0, 3), (3, 3)])
    def test_adaptive_sampling_stays_exact(self, wrong: tuple) -> None:
        def chase(state, sizes) -> int:  # type: ignore[no-untyped-def]
            """Go where no wrong item has been seen: the choice an optimist would make."""
            open_ = [h for h in (0, 1) if state.labels[h] < sizes[h]]
            return min(open_, key=lambda h: (state.wrong[h], state.labels[h]))

        def alternate(state, sizes) -> int:  # type: ignore[no-untyped-def]
            open_ = [h for h in (0, 1) if state.labels[h] < sizes[h]]
            return min(open_, key=lambda h: state.labels[h])

        for choose in (chase, alternate):
            for confidence in (0.5, 0.8):
                assert (
                    self.certified((4, 6), wrong, 0.25, threshold(confidence), choose)
                    <= 1 - confidence + 1e-12
                )

    def test_sampling_one_stratum_only_proves_nothing(self) -> None:
        process = stratified_mixture((20, 80), 0.05)
        state = process.start()
        for _ in range(80):
            state = process.step(state, 1, 0)
        assert process.log_wealth(state) < threshold(0.95)

    def test_a_full_count_is_certain(self) -> None:
        process = stratified_mixture((3, 3), 0.4)
        fine = bad = process.start()
        for place, loss in ((0, 0), (0, 1), (0, 0), (1, 0), (1, 0)):
            fine = process.step(fine, place, loss)
        for place in (0, 0, 0):
            bad = process.step(bad, place, 1)
        assert process.log_wealth(fine) == math.inf
        assert process.log_wealth(bad) == -math.inf
        with pytest.raises(DataError, match="labelled already"):
            process.step(bad, 0, 1)

    def test_dropping_a_spread_of_the_wrong_items_is_caught(self) -> None:
        """The broken twin: the null puts wrong items in proportion to the strata, and an adversary does not."""
        proportional = stratified_mixture((10,), 0.25, hoped=(0.0,))
        state = proportional.start()
        for _ in range(6):
            state = proportional.step(state, 0, 0)
        assert (
            math.exp(-proportional.log_wealth(state)) <= 0.05
        )  # rows of the safe stratum counted as the batch's
        honest = stratified_mixture((4, 6), 0.25, hoped=(0.0,))
        state = honest.start()
        for _ in range(6):
            state = honest.step(state, 1, 0)
        assert math.exp(-honest.log_wealth(state)) > 0.05

    def test_nonsense_is_refused(self) -> None:
        for sizes, tolerance in (((), 0.1), ((3, 0), 0.1), ((3,), 0.0)):
            with pytest.raises(OptionError):
                stratified_mixture(sizes, tolerance)


class TestAssistedBetting:
    @pytest.mark.parametrize("tolerance", [0.1, 0.4])
    @pytest.mark.parametrize("joint", ["useless", "good", "hostile"])
    def test_wealth_does_not_grow_under_the_null(self, tolerance: float, joint: str) -> None:
        """Exactly, over all outcomes of five draws of (loss, prediction)."""
        cells = {
            "useless": [(1.0, 0.5, tolerance), (0.0, 0.5, 1 - tolerance)],
            "good": [(1.0, 1.0, tolerance), (0.0, 0.0, 1 - tolerance)],
            "hostile": [(1.0, 0.0, tolerance), (0.0, 1.0, 1 - tolerance)],
        }[joint]
        process = AssistedBetting(tolerance, sum(g * p for _, g, p in cells))
        for prefix in itertools.product(cells, repeat=4):
            state = process.start()
            for loss, prediction, _ in prefix:
                state = process.step(state, loss, prediction)
            after = sum(p * math.exp(process.log_wealth(process.step(state, x, g))) for x, g, p in cells)
            assert after <= math.exp(process.log_wealth(state)) * (1 + 1e-9)

    def test_forgetting_to_centre_the_predictions_is_caught(self) -> None:
        twin = AssistedBetting(0.4, 0.0)  # mean prediction .4, taken to be 0
        state = twin.start()
        grown = 0.4 * math.exp(twin.log_wealth(twin.step(state, 1.0, 1.0))) + 0.6 * math.exp(
            twin.log_wealth(twin.step(state, 0.0, 0.0))
        )
        assert grown > 1.01

    def test_good_predictions_tighten_the_bound_and_bad_ones_hardly_loosen_it(self) -> None:
        rng = np.random.default_rng(3)
        losses = np.clip(rng.normal(0.3, 0.2, 20_000), 0, 1)
        noise = rng.random(20_000)
        picked = rng.permutation(20_000)[:400]
        alone = assisted_upper(losses[picked], np.full(400, 0.5), 0.5, 0.95)
        useful = assisted_upper(losses[picked], losses[picked], float(losses.mean()), 0.95)
        useless = assisted_upper(losses[picked], noise[picked], float(noise.mean()), 0.95)
        truth = losses.mean()
        assert truth < useful < alone
        assert useless - truth <= 1.15 * (alone - truth)

    def test_bound_is_where_the_evidence_reaches_its_threshold(self) -> None:
        rng = np.random.default_rng(1)
        losses, predictions = rng.random(50) * 0.4, rng.random(50)
        bound = assisted_upper(losses, predictions, 0.5, 0.9)
        for tolerance, enough in ((bound + 1e-3, True), (bound - 1e-3, False)):
            process = AssistedBetting(tolerance, 0.5)
            state = process.start()
            for loss, prediction in zip(losses, predictions, strict=True):
                state = process.step(state, loss, prediction)
            assert (process.log_wealth(state) >= threshold(0.9)) is enough

    def test_bad_input_is_refused(self) -> None:
        with pytest.raises(DataError):
            assisted_upper([0.1, 0.2], [0.1], 0.1, 0.9)
        with pytest.raises(DataError):
            assisted_upper([0.1, math.nan], [0.1, 0.2], 0.1, 0.9)


class TestPredictionPowered:
    def test_it_covers_about_as_promised_where_errors_are_common(self) -> None:
        rng, hits, runs = np.random.default_rng(0), 0, 400
        for _ in range(runs):
            wrong = (rng.random(4300) < 0.3).astype(float)
            guess = np.where(rng.random(4300) < 0.85, wrong, 1 - wrong)
            estimate = prediction_powered(wrong[:300], guess[:300], guess[300:], 0.9)
            hits += estimate.low <= 0.3 <= estimate.high
        assert abs(hits / runs - 0.9) <= 4 * math.sqrt(0.09 / runs)

    def test_it_is_marked_asymptotic_and_warns_of_rare_errors(self) -> None:
        losses = np.zeros(150)
        losses[0] = 1
        estimate = prediction_powered(losses, losses, np.zeros(1000), 0.95)
        assert estimate.asymptotic
        assert "not to be trusted" in estimate.advice

    def test_why_no_certificate_may_rest_on_it(self) -> None:
        """At 2.5% wrong and 150 labels it calls 2% kept far more often than in one case of twenty."""
        rng, false, runs = np.random.default_rng(1), 0, 600
        for _ in range(runs):
            wrong = (rng.random(2150) < 0.021).astype(float)
            guess = np.where(rng.random(2150) < np.where(wrong == 1, 0.5, 0.98), wrong, 1 - wrong)
            false += prediction_powered(wrong[:150], guess[:150], guess[150:], 0.9).high <= 0.02
        assert false / runs > 0.08

    def test_a_useless_judge_leaves_the_interval_as_it_was(self) -> None:
        rng = np.random.default_rng(2)
        wrong, guess = (rng.random(2000) < 0.3).astype(float), rng.random(6000)
        estimate = prediction_powered(wrong, guess[:2000], guess[2000:], 0.9)
        plain = 2 * 1.6449 * math.sqrt(0.3 * 0.7 / 2000)
        assert estimate.high - estimate.low == pytest.approx(plain, rel=0.05)

    def test_too_little_is_refused(self) -> None:
        with pytest.raises(DataError, match="at least two"):
            prediction_powered([0.0], [0.0], [0.0, 1.0], 0.9)
