"""Texts about restaurants: the slot check against texts read by hand, its own error, and a small run on real data."""

from pathlib import Path

import pytest

from tests.support.e2e_second_reading import FAULTY, PASSED, REFUSED, RIGHT
from tolerate.errors import DataError
from tolerate.jobs import job
from tolerate.jobs.texts.restaurant_slots import (
    PATTERNS,
    compare_text,
    fact_sentence,
    has_foreign_telltale,
    replace_names,
    slots_without_telltale,
    stated_values,
)
from tolerate.jobs.texts.restaurants import Restaurants, parse_record, read_records
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

SLOTS = parse_record(
    "name[The Mill], eatType[pub], food[English], priceRange[high], customer rating[1 out of 5], area[riverside], "
    "familyFriendly[no], near[Café Sicilia]"
)
GOOD = (
    "The Mill is an English pub by the river near Café Sicilia. It is expensive, has a customer rating of 1 out of 5 "
    "and is not family-friendly."
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (GOOD, "as the record"),
        (GOOD.replace("1 out of 5", "one out of five stars"), "as the record"),
        (GOOD.replace("1 out of 5", "low, 1 out of 5"), "as the record"),
        (GOOD.replace("not family-friendly", "no place for children"), "as the record"),
        (
            GOOD.replace("not family-friendly", "kid friendly"),
            "says familyFriendly yes; lacks familyFriendly no",
        ),
        (GOOD.replace("1 out of 5", "5 out of 5"), "says rating 5 out of 5; lacks rating 1 out of 5"),
        (GOOD.replace("expensive", "cheap"), "says priceRange cheap; lacks priceRange high"),
        (GOOD.replace("English", "Indian"), "says food Indian; lacks food English"),
        (GOOD.replace(" by the river", ""), "lacks area riverside"),
        (GOOD.replace(" near Café Sicilia", ""), "lacks near Café Sicilia"),
        (GOOD.replace("The Mill", "The Vaults"), "lacks name The Mill"),
        (GOOD.replace("pub", "coffee shop"), "says eatType coffee shop; lacks eatType pub"),
    ],
)
def test_slots_as_read_by_hand(text: str, read: str) -> None:
    assert compare_text(SLOTS, text).read == read


def test_a_wrong_word_is_marked() -> None:
    text = GOOD.replace("expensive", "cheap")
    assert [text[start:end] for start, end in compare_text(SLOTS, text).marks] == ["cheap"]


@pytest.mark.parametrize(
    ("slot", "value"), [(slot, value) for slot in PATTERNS for value in PATTERNS[slot]], ids=lambda x: str(x)
)
def test_a_sentence_by_rule_is_read_as_its_value_alone(slot: str, value: str) -> None:
    assert stated_values(fact_sentence(slot, value)) == {slot: {value}}


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "raw" / "e2e_nlg"


def test_the_crowds_texts_pass_or_fail_for_a_reason(data: Path) -> None:
    task = Restaurants(data)
    pairs = task.pairs(99_999, 0)
    assert len(task.records.slots) == 1177 and 3000 < len(pairs) < 4000
    assert not any("XNAME" not in pair.answer for pair in pairs)
    assert not set(task.parts["generator"].tolist()) & set(task.parts["asked"].tolist())
    error = task.own_error(300, 1)
    assert error.faulty == 300 and error.missed <= 3


def test_the_check_against_a_second_reading(data: Path) -> None:
    """Of what it passes few are faulty, of what it refuses few are right; a rougher word counts as wrong."""
    records = read_records(data)

    def wrong(place: str) -> bool:
        record, text = map(int, place.split("."))
        return compare_text(records.slots[record], records.texts[record][text]).wrong

    missed = [place for place in FAULTY if not wrong(place)]
    passed = [place for place in PASSED if not wrong(place)]
    assert len(passed) >= 105 and len(missed) <= 3
    refused = [place for place in REFUSED if wrong(place)]
    assert len(refused) >= 66 and len([place for place in RIGHT if wrong(place)]) <= 2


def test_filter_and_repair_are_weaker_than_the_check() -> None:
    """They look for telltale words: a fault that has the words of a right text goes through, and the check sees it."""
    text = GOOD.replace("is not family-friendly", "is not family-friendly, but great for kids")
    assert has_foreign_telltale(SLOTS, replace_names(text, SLOTS))
    beside = GOOD.replace("by the river", "near the city centre")
    centre = {**SLOTS, "area": "city centre"}
    assert not slots_without_telltale(centre, replace_names(beside, centre)) and not has_foreign_telltale(
        centre, replace_names(beside, centre)
    )
    assert compare_text(centre, beside).wrong


def test_repair_adds_one_fact_and_drops_one(data: Path) -> None:
    task = Restaurants(data)
    request = next(r for r, slots in enumerate(task.records.slots) if len(slots) == 8)
    slots = task.slots(request)
    full = " ".join(
        [f"{slots['name']} is a {slots['eatType']}."]
        + [fact_sentence(slot, slots[slot]) for slot in slots if slot not in ("name", "eatType")]
    )
    assert not task.check(full, request).wrong
    short = full.replace(fact_sentence("food", slots["food"]), "").replace("  ", " ")
    assert task.check(short, request).wrong and not task.check(task.repair(short, request), request).wrong
    assert task.repair("A place.", request) == "A place."


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected at least 60"):
        read_records(tmp_path)
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00mr,ref\n")
    with pytest.raises(DataError, match=r"bad\.csv cannot be read"):
        read_records(tmp_path)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected mr and ref"):
        read_records(tmp_path)


def test_a_small_run_on_real_records(data: Path, tmp_path: Path) -> None:
    options = RunOptions(
        data=data,
        models=("transformer",),
        refine=("plain", "vote-of-2+repair+rules"),
        labels=100,
        proof=50,
        steps=40,
        workers=0,
    )
    summary = run(job("restaurants"), tmp_path / "run", options).to_json()
    metrics = summary["models"][0]["metrics"]
    assert 0 < metrics["slot_errors"] < 3 and metrics["bleu"] >= 0 and metrics["bits_kn"] > 0
    assert (tmp_path / "run" / "report.html").exists()
