"""Copied stretches and near-duplicates, each against a slow or a known answer."""

from pathlib import Path

import numpy as np
import pytest

from tolerate.errors import OptionError
from tolerate.refine.texts.copied import Copied
from tolerate.refine.texts.near_duplicates import groups, signatures, without_near_duplicates


def slow_longest(texts: list[str], text: str) -> int:
    runs = (
        end - start
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if any(text[start:end] in learned for learned in texts)
    )
    return max(runs, default=0)


def test_the_longest_stretch_is_that_of_trying_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        texts = ["".join(rng.choice(list("ab床"), rng.integers(1, 30))) for _ in range(4)]
        text = "".join(rng.choice(list("ab床前"), rng.integers(0, 20)))
        index = Copied(texts)
        assert index.length(text) == slow_longest(texts, text)
        start, end = index.longest(text)
        assert text[start:end] in "\0".join(texts)


def test_a_stretch_never_goes_over_two_texts() -> None:
    assert Copied(["abcd", "efgh"]).length("cdef") == 2
    assert (
        Copied([]).length("a") == 0 and Copied(["a"]).length("") == 0 and Copied(["a\0b"]).length("\0") == 0
    )


def test_a_quotation_in_shakespeare_is_found(shared: Path) -> None:
    text = (shared / "raw" / "tiny_shakespeare" / "input.txt").read_text("utf-8")
    quoted = text[400_000:400_080]
    assert Copied([text]).longest("Zq! " + quoted + " qZ") in {(4, 84), (3, 84), (4, 85), (3, 85)}


def test_minhash_estimates_what_two_texts_share() -> None:
    rng = np.random.default_rng(1)
    for share in (0.3, 0.6, 0.9):
        errors = []
        for _ in range(12):
            words = ["".join(rng.choice(list("abcdefghij"), 7)) for _ in range(80)]
            other = [word if rng.random() < share else word[::-1] for word in words]
            first, two = " ".join(words), " ".join(other)
            runs = [{text[start : start + 5] for start in range(len(text) - 4)} for text in (first, two)]
            truth = len(runs[0] & runs[1]) / len(runs[0] | runs[1])
            signature = signatures([first, two], count=512)
            errors.append((signature[0] == signature[1]).mean() - truth)
        assert abs(np.mean(errors)) < 0.03


def test_near_duplicates_are_grouped_and_others_are_not() -> None:
    texts = [
        f"this is text number {n} about {'cats' * (n % 3)} and {n * n} other things of the day"
        for n in range(30)
    ]
    base = "It was the best of times, it was the worst of times, it was the age of wisdom."
    texts += [base, base.upper(), base.replace("best", "rest"), "", ""]
    group_of = groups(texts, 0.7)
    assert (
        group_of[30] == group_of[31] == group_of[32]
        and group_of[33] == group_of[34]
        and group_of[30] not in group_of[:30]
    )
    assert 31 not in without_near_duplicates(texts, 0.7) and 30 in without_near_duplicates(texts, 0.7)
    with pytest.raises(OptionError, match="min_share is 0"):
        groups(texts, 0)
