"""Checks and judges by name, the rule about ink, prototypes, and a check's own error."""

import numpy as np
import pytest
from scipy.special import bdtr

from tolerate.checks import CHECKS, JUDGES, Verdicts, find_check, find_judge
from tolerate.checks.own_error import OwnError
from tolerate.checks.pictures.ink import fit_ink
from tolerate.checks.pictures.own_error import count_misread, own_error_of, own_error_sentence
from tolerate.checks.pictures.prototypes import fit_prototypes
from tolerate.data.pictures import digits, split
from tolerate.errors import DataError, OptionError
from tolerate.messages.catalogue import render
from tolerate.models.pictures.evaluation.metrics import auroc


@pytest.mark.parametrize("name", [*CHECKS, "tolerate.checks.pictures.ink:fit_ink"])
def test_checks_are_found(name: str) -> None:
    assert callable(find_check(name))


@pytest.mark.parametrize("name", [*JUDGES, "tolerate.checks.pictures.prototypes:fit_prototypes"])
def test_judges_are_found(name: str) -> None:
    assert callable(find_judge(name))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raeder", 'no check is called "raeder".*Did you mean "reader"'),
        ("no.such:thing", 'cannot find "no.such:thing"'),
        ("math:nothing", 'math has no attribute "nothing"'),
        ("math:pi", "expected a function that makes a check"),
    ],
)
def test_names_that_are_no_checks(name: str, error: str) -> None:
    with pytest.raises(OptionError, match=error):
        find_check(name)


def test_own_error_is_exact() -> None:
    """Each end of the interval leaves exactly 2.5% beyond it, by the binomial's own sum."""
    error = OwnError(right=215, refused=5, unrecognised=3)
    low, high = error.interval(0.95)
    assert abs(bdtr(5, 215, high) - 0.025) < 1e-9
    assert abs(1 - bdtr(4, 215, low) - 0.025) < 1e-9
    assert low < error.rate < high
    assert OwnError(right=100).interval()[0] == 0
    assert OwnError(right=3, refused=3).interval()[1] == 1


def test_own_error_in_words() -> None:
    error = OwnError(right=1000, refused=10)
    sentence = own_error_sentence(error)
    assert "misread 10 and could not read 0: 1% wrong" in sentence
    assert "读错 10 张" in render(sentence, "zh")
    assert error.rate == 0.01
    with pytest.raises(DataError, match="expected the same number"):
        count_misread(np.array([1]), np.array([1, 2]), ["a"])
    with pytest.raises(DataError, match="no verdicts"):
        own_error_of(Verdicts(np.array([]), []), ["a"])


def test_ink_tells_blank_and_drowned_from_written() -> None:
    pictures = digits()
    parts = split(pictures)
    real, further = pictures.part(parts["reader"]), pictures.part(parts["reader_test"])
    check = fit_ink(real.images, real.labels, real.classes)
    verdicts = check(further.images, further.labels)
    assert isinstance(verdicts, Verdicts) and verdicts.losses.mean() < 0.02
    error = own_error_of(verdicts, further.classes)
    assert (error.right, error.refused, error.unrecognised) == (
        len(further),
        wrong := verdicts.losses.sum(),
        wrong,
    )
    blank = check(np.zeros_like(further.images), further.labels)
    assert blank.losses.all() and set(blank.reads) == {"too little ink"}
    drowned = check(np.full(further.images.shape, 255, np.uint8), further.labels)
    assert drowned.losses.all() and set(drowned.reads) == {"too much ink"}


def test_prototypes_rank_the_asked_class() -> None:
    pictures = digits()
    parts = split(pictures)
    real, further = pictures.part(parts["judge"]), pictures.part(parts["reader_test"])
    judge = fit_prototypes(real.images, real.labels, real.classes)
    right = judge(further.images, further.labels)
    wrong = judge(further.images, (further.labels + 1) % 10)
    assert auroc(wrong, right) > 0.98
    every = sum(judge(further.images, np.full(len(further), label)) for label in range(10))
    assert np.allclose(every, 1)
    as_bytes = judge(np.round(further.images * 255).astype(np.uint8), further.labels)
    assert np.abs(as_bytes - right).max() < 0.05
