"""Refining texts, the verifier, figures of texts, and how a page shows a text."""

import numpy as np
import pytest

from tolerate.base.files import slug
from tolerate.checks.texts.metrics import bleu, chrf, distinct
from tolerate.errors import DataError, OptionError
from tolerate.jobs.texts.drafts.verifier import Verifier, fit_verifier
from tolerate.jobs.texts.task import normalize
from tolerate.modality import split_at_marks
from tolerate.refine.texts.refining import TextPool, parse_text


def pool(
    fit: list[list[bool]], meanings: list[list[int]], alone: list[list[float]], copies: float = 1.0
) -> TextPool:
    """Candidates whose score by vote is the share itself."""
    arrays = [np.array(values) for values in (meanings, alone, fit)]
    return TextPool(*arrays, np.full(arrays[0].shape, copies), lambda index, share: share)


ONE = pool(
    fit=[[True, True, True, False, True, True, True, True]],
    meanings=[[1, 2, 2, 3, 1, 1, 1, 3]],
    alone=[[0.2, 0.3, 0.4, 0.9, 0.2, 0.3, 0.4, 0.9]],
)


@pytest.mark.parametrize(
    ("name", "index", "score"),
    [
        ("plain", 0, 0.2),
        ("best-of-4", 3, 0.9),
        ("best-of-4+rules", 2, 0.4),
        ("best-of-2", 1, 0.3),
        ("vote-of-4", 2, 0.5),
        ("vote-of-4+rules", 2, 0.5),
        ("vote-of-4+repair", 6, 0.75),
        ("vote-of-4+repair+rules", 6, 0.75),
    ],
)
def test_what_is_chosen(name: str, index: int, score: float) -> None:
    chosen, scores = parse_text(name).choose(ONE)
    assert chosen.tolist() == [index] and scores.tolist() == [score]


def test_nothing_left_is_no_answer() -> None:
    none = pool([[False, False]], [[1, 1]], [[0.5, 0.5]])
    index, scores = parse_text("plain+rules").choose(none)
    assert index.tolist() == [-1] and np.isnan(scores[0])
    copied = pool([[True, True]], [[1, 1]], [[0.5, 0.5]], copies=0.0)
    assert parse_text("plain+no-copies").choose(copied)[0].tolist() == [-1]


def test_each_request_is_refined_by_itself() -> None:
    rng = np.random.default_rng(0)
    many = pool(rng.random((50, 8)) < 0.7, rng.integers(0, 3, (50, 8)), rng.random((50, 8)))
    whole = parse_text("vote-of-4+repair+rules").choose(many)[0]
    for row in range(0, 50, 7):
        single = pool(many.fit[row : row + 1], many.meanings[row : row + 1], many.alone[row : row + 1])
        assert parse_text("vote-of-4+repair+rules").choose(single)[0][0] == whole[row]


@pytest.mark.parametrize("name", ["vote", "vote-of-0", "best-of-9999", "plain+magic", "rules", "vote-of-x"])
def test_a_refining_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(OptionError):
        parse_text(name)


def test_the_verifier_ranks_by_votes_and_confidence() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random((600, 4)) < 0.4
    meanings = np.where(wrong, rng.integers(5, 99, wrong.shape), 1)
    means = -0.2 - 0.3 * wrong * rng.random(wrong.shape)
    least = means - rng.random(wrong.shape)
    verifier = fit_verifier(means, least, meanings, wrong)
    share = (meanings[:, :, None] == meanings[:, None, :]).mean(2)
    voted = verifier.vote_scores(means, least, share)
    assert voted[~wrong].mean() > voted[wrong].mean() + 0.4
    assert (
        abs(verifier.single_scores(means, least).mean() - (~wrong).mean()) < 0.02
    )  # calibrated on what it was fitted to
    again = Verifier.from_json(verifier.to_json())
    assert np.allclose(again.vote_scores(means, least, share), voted)


def test_the_verifier_bears_candidates_that_are_all_right() -> None:
    verifier = fit_verifier(
        np.full((9, 2), -0.1), np.full((9, 2), -0.2), np.ones((9, 2)), np.zeros((9, 2), bool)
    )
    assert np.isfinite(verifier.single_scores(np.array([-0.1, -5.0]), np.array([-0.2, -90.0]))).all()


def test_bleu_and_chrf_are_sacrebleus() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    texts = [
        "the cat sat on the mat today",
        "a dog barked loudly at the man",
        "it is near the river , and cheap",
    ]
    goods = [
        ["the cat is on the mat today", "a cat sat on a mat"],
        ["the dog barked at the man", "a dog was barking loudly at him"],
        ["it is cheap and near the river", "near the river , it is cheap"],
    ]
    streams = [list(alternatives) for alternatives in zip(*goods, strict=True)]
    theirs = sacrebleu.corpus_bleu(texts, streams, tokenize="none", smooth_method="none").score
    assert 100 * bleu(texts, goods) == pytest.approx(theirs, abs=1e-6)
    first_only = [[alternatives[0]] for alternatives in goods]
    assert 100 * chrf(texts, first_only) == pytest.approx(
        sacrebleu.corpus_chrf(texts, [streams[0]]).score, abs=0.5
    )
    with pytest.raises(DataError):
        bleu(texts, goods[:2])
    assert bleu(["x"], [["y z"]]) == 0 and distinct([]) == 0 and distinct(["a a a a"]) == pytest.approx(1 / 3)


def test_small_things() -> None:
    assert (
        split_at_marks("", []) == ()
        and split_at_marks("ab", []) == (("ab", False),)
        and split_at_marks("ab", [(0, 9)]) == (("ab", True),)
    )
    assert normalize("A\n b") == "a b"
    assert slug("a/b") != slug("a:b") and "/" not in slug("../x")
