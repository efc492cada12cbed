"""The job `headlines`: labels by people in a column; headlines that a judge looks at and a person has the last word on."""

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_openai import Fake, serving
from tests.support.sitting import PeopleAtDesk, Sitter
from tolerate.checks.texts.labels import label_in
from tolerate.data import tables
from tolerate.jobs import job
from tolerate.jobs.texts.headlines import invented_spans, parse_judgement
from tolerate.jobs.texts.options import TextOptions
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

CITIES = ("Bonn", "Oslo", "Lima", "Rome")


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLERATE_CACHE", str(tmp_path / "memory"))


def texts(folder: Path, n: int, labels: bool) -> Path:
    """Reports of shops: how many chairs were sold where, and whether that is good news."""
    rows = [
        (f"A shop in {CITIES[index % 4]} sold {100 + index} chairs.", ("good", "bad")[index % 3 == 0])
        for index in range(n)
    ]
    columns: dict[str, Any] = {"text": [text for text, _ in rows]}
    tables.write(folder / "texts.csv", columns | ({"label": [label for _, label in rows]} if labels else {}))
    return folder / "texts.csv"


def sort(prompt: str, seed: int) -> str:
    """The right label nearly always."""
    number = int(re.findall(r"\d+", prompt)[0]) - 100
    wrong = random.Random(f"{number} {seed}").random() < 0.03
    label = ("good", "bad")[(number % 3 == 0) != wrong]
    return (
        random.Random(number).choice(["{}", "{}.", "Label: {}", "It is {} news"]).format(label.capitalize())
    )


def shorten(prompt: str, seed: int) -> str:
    """A headline, now and then with another city; as a judge, a verdict that overlooks every fourth of these."""
    if prompt.startswith("Text:"):
        text, headline = prompt.removeprefix("Text:\n").split("\n\nHeadline:\n")
        bad = headline.split()[-1].strip(".") not in text and random.Random(headline).random() < 0.75
        return "The city is another one.\nWRONG" if bad else "All there.\nFINE"
    city, number = re.findall(r"in (\w+) sold (\d+)", prompt)[0]
    if random.Random(f"{number} {seed}").random() < 0.1:
        city = CITIES[CITIES.index(city) - 1]
    return f"{number} chairs sold in {city}"


def options(data: Path, fake: Fake, **more: Any) -> RunOptions:
    chosen = {"labels": 300, "proof": 100, "models": (fake.name(),), "workers": 0, "tolerance": 0.1}
    return RunOptions(data=data, **{**chosen, **more})


def test_labels_by_people_are_certified(tmp_path: Path) -> None:
    with serving(sort) as fake:
        summary = run(
            job("headlines"), tmp_path / "run", options(texts(tmp_path, 400, labels=True), fake)
        ).to_json()
    index = summary["job"]["tolerances"].index(0.1)
    assert summary["best"][index]["coverage"] == 1 and summary["best"][index]["proof"]["risk"] <= 0.1
    assert "people, in the table's column label" in summary["reader"]["sentence"]
    assert "missed 0" in summary["reader"]["sentence"] and "refused 0" in summary["reader"]["sentence"]
    assert "bad, good" in fake.bodies[0]["messages"][0]["content"]


def invents(person: Sitter, place: int) -> bool:
    """A headline is wrong if its city or number is not the text's."""
    return any(word not in person.request for word in re.findall(r"\d+|[A-Z]\w+", person.text))


def test_a_person_judges_headlines_and_corrects_the_judge(tmp_path: Path) -> None:
    person = PeopleAtDesk(invents)
    with serving(shorten) as fake:
        run_options = options(
            texts(tmp_path, 700, labels=False),
            fake,
            review=True,
            reviews=250,
            refine=("plain",),
            tolerance=0.2,
        )
        run_options = replace(run_options, modality=TextOptions(judge=fake.name("parallel=2")))
        summary = run(job("headlines"), tmp_path / "run", run_options, people=person).to_json()
    certificate = summary["certificate"]["json"]
    assert person.judged_count == 250 and certificate["labels"] == 250 and certificate["scope"] == "all"
    text = certificate["losses_by"]
    assert text.startswith("a person, who judged 250 items")
    missed, wrong = (int(n) for n in re.search(r"missed (\d+) of the (\d+) that the person", text).groups())  # type: ignore[union-attr]
    assert 15 <= wrong <= 40 and 0 < missed < wrong / 2 and "refused 0 of the" in text
    assert "corrected by the person's" in text
    assert {
        body["temperature"] for body in fake.bodies if body["messages"][1]["content"].startswith("Text:")
    } == {0.0}
    used = {row["name"]: row["n"] for row in summary["data"]["split"]}
    assert used == {"sample": 300, "fresh": 100, "review": 250}


def test_without_labels_or_a_person_nothing_is_run(tmp_path: Path) -> None:
    with serving(shorten) as fake, pytest.raises(ValueError, match="--review"):
        run(job("headlines"), tmp_path / "run", options(texts(tmp_path, 50, labels=False), fake))
    assert not fake.bodies


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("one.csv", b"text,label\nfine,good\n", "1 rows"),
        ("same.csv", b"text,label\n" + b"fine,good\n" * 9, "1 different labels"),
        (
            "many.csv",
            b"text,label\n" + b"".join(b"fine,l%d\n" % index for index in range(90)),
            "different labels",
        ),
        ("other.csv", b"body,label\nfine,good\n", 'no column "text"'),
        ("blank.csv", b"text,label\n" + b'" ",good\n' * 9, "0 rows"),
        ("latin.csv", b"text,label\n" + "voilà,good\n".encode("latin-1") * 9, "latin.csv"),
        ("empty.jsonl", b"", "is empty"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path: Path, name: str, data: bytes, error: str) -> None:
    (tmp_path / name).write_bytes(data)
    with serving(sort) as fake, pytest.raises(ValueError, match=error):
        run(job("headlines"), tmp_path / "run", options(tmp_path / name, fake))
    assert not fake.bodies


def test_other_jobs_take_no_judge(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes no --judge"):
        run(
            job("digits"),
            tmp_path / "run",
            RunOptions(modality=TextOptions(judge="openai:m@http://127.0.0.1:9/v1")),
        )


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("positive", "positive"),
        ("Positive!", "positive"),
        ("**Sentiment:** POSITIVE", "positive"),
        ("very positive", "very positive"),
        ("not positive", None),
        ("It is not really positive", None),
        ("positive and negative", None),
        ("Positive. Yes, positive.", "positive"),
        ("", None),
        ("none", None),
        ("这条评论是积极的。", "积极"),
        ("不积极", None),
        ("unpositive", None),
    ],
)
def test_labels_are_read(answer: str, label: str | None) -> None:
    assert label_in(answer, ["positive", "very positive", "negative", "积极"]) == label


@pytest.mark.parametrize(
    ("headline", "strange"),
    [
        ("Ann sells 12 pens", []),
        ("Ann Sells 12 Pens In Town", []),
        ("Ann sells 13 pens", ["13"]),
        ("Ann sells 1 pen", ["1"]),
        ("Bob says that Ann sells 12 pens", []),  # a first word may be large
        ("Pens sold by Bob", ["Bob"]),
        ("Ann's 12 pens", []),
        ("12.5 pens", ["12.5"]),
        ("", []),
    ],
)
def test_the_rule_sees_numbers_and_names_that_a_text_lacks(headline: str, strange: list[str]) -> None:
    spans = invented_spans(headline, "Yesterday Ann sold 12 pens in town; sells more today.")
    assert [headline[start:end] for start, end in spans] == strange


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("Fine reason.\nFINE", False),
        ("Bad.\nWRONG", True),
        ("", True),
        ("I am not sure.", True),
        ("WRONG? No.\nFINE", False),
    ],
)
def test_a_judge_is_read_strictly(answer: str, wrong: bool) -> None:
    assert parse_judgement(answer, ()).wrong is wrong
