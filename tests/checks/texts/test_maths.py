"""The grader of numbers: hand-made hard cases, every problem of a real set, and the verdicts of others."""

import csv
import gzip
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hard_numbers import FURTHER, HARD, WRONG
from tolerate.checks.texts.maths import final_number, grade


@pytest.mark.parametrize(("answer", "key", "right"), HARD + FURTHER)
def test_hard_cases(answer: str, key: str, right: bool) -> None:
    assert grade(answer, key).right is right, grade(answer, key)


def test_what_still_goes_wrong_is_written_down() -> None:
    assert all(grade(answer, key).right is not right for answer, key, right in WRONG)


def by_last_number(answer: str, key: str) -> bool:
    """How many graders do it: the last number as it stands."""
    numbers = re.findall(r"-?[\d,.]*\d", answer)
    return bool(numbers) and numbers[-1].replace(",", "") == key.replace(",", "")


def test_the_usual_grader_fails_on_them() -> None:
    """The broken twin: it is wrong on a third of the cases, so the cases tell graders apart."""
    wrong = sum(by_last_number(answer, key) is not right for answer, key, right in HARD + FURTHER)
    assert wrong > len(HARD + FURTHER) / 4


def problems(shared: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(shared / "raw" / "gsm8k_train" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.shared
def test_it_reads_the_worked_answers_of_a_real_set(shared: Path) -> None:
    """All 1,319 right with their mark, none right for another key; without the mark at most 1.5% are misread."""
    unread = 0
    for problem in problems(shared, "test"):
        solution, _, key = problem["answer"].rpartition("####")
        assert grade(problem["answer"], key).right
        other = str(final_number(key).number + random.Random(key).choice([-10, -1, 1, 10]))  # type: ignore[union-attr]
        assert not grade(problem["answer"], other).right
        unread += not grade(solution.strip(), key).right
    assert unread <= 0.015 * 1319


@pytest.mark.shared
def test_it_agrees_with_the_verdicts_on_four_systems(shared: Path) -> None:
    """5,276 answers whose verdict is known: no disagreement."""
    keys = [problem["answer"].rpartition("####")[2] for problem in problems(shared, "test")]
    with gzip.open(shared / "labelled" / "maths_gsm8k.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    verdicts = [grade(f"#### {row['final_answer']}", keys[int(row["group_id"])]).right for row in rows]
    assert sum(right == (row["error"] == "1") for right, row in zip(verdicts, rows, strict=True)) == 0


WAYS = (
    "{n}",
    "${n}",
    "${n}.00",
    "{n:,}",
    "#### {n}",
    "The answer is {n:,} dollars.",
    "x = {n}",
    "{n}.0 km",
    "**{n}**",
)


@given(st.integers(-(10**7), 10**7), st.sampled_from(WAYS), st.sampled_from(WAYS))
def test_a_number_is_itself_however_it_is_written(n: int, way: str, other: str) -> None:
    assert grade(way.format(n=n), other.format(n=n)).right
    assert not grade(way.format(n=n), other.format(n=n + 1)).right
    assert not grade(way.format(n=n), other.format(n=n * 10 or 1)).right


@given(st.text(max_size=200) | st.text("0123456789./%$-=#,{}\\ or", max_size=60), st.text(max_size=10))
def test_no_text_makes_it_stumble(answer: str, key: str) -> None:
    grade(answer, key)


def test_long_texts_take_no_time_to_speak_of() -> None:
    """Nothing in the patterns explodes: a hundred thousand signs of each kind are read."""
    for part in (
        "9",
        "9,",
        "9 ",
        "(",
        "{",
        "1/",
        "=",
        "####",
        "answer is ",
        "9-",
        "$",
        "a",
        "and ",
        "\\frac{",
        "1.000,",
    ):
        grade(part * (100_000 // len(part)), "9")


def test_the_question_says_whether_millions_are_meant() -> None:
    assert grade("3 million", "3", "How many millions does it cost?").right
    assert grade("2 dozen", "2", "How many dozen eggs?").right
    assert not grade("3 million", "3", "What does it cost?").right
