"""Case notes: the grammar, the check of a note, what filters and repairs can and cannot see, and a small run."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.chinese import english_words
from tolerate.jobs import job
from tolerate.jobs.texts.casenotes import CaseNotes, Measurement, PatientRecord, compare_note, note, read_note
from tolerate.messages.certificates import certificate_text
from tolerate.records import Certificate
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

RECORD = PatientRecord(
    (
        Measurement("radius", "18.0", "high"),
        Measurement("worst area", "990", "normal"),
        Measurement("texture", "17.1", "normal"),
    ),
    "benign",
)
GOOD = "Radius is high at 18.0. Worst area (990) and texture (17.1) are normal. The lesion is benign."


@pytest.fixture(scope="module")
def task() -> CaseNotes:
    return CaseNotes()


def test_every_note_of_the_grammar_is_right() -> None:
    rng = np.random.default_rng(0)
    assert not any(compare_note(RECORD, note(RECORD, rng)).wrong for _ in range(300))


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        (GOOD.replace("18.0", "18.1"), "states radius 18.1 high"),
        (GOOD.replace("are normal", "are low"), "states texture 17.1 low"),
        (GOOD.replace("990", "#").replace("17.1", "990").replace("#", "17.1"), "states texture 990 normal"),
        (GOOD.replace("Radius is high at 18.0. ", ""), "lacks radius 18.0 high"),
        (GOOD.replace("benign", "malignant"), "impression malignant"),
        (GOOD + " The lesion is benign.", "benign and benign"),
        (GOOD + " Radius is high at 18.0.", "twice"),
        (GOOD + " The patient is well.", 'says "The patient is well."'),
        (GOOD + " Symmetry is low at 0.1.", "states symmetry 0.1 low"),
        ("", "impression missing"),
        (GOOD.replace("Radius", "Worst radius"), "states worst radius 18.0 high"),
    ],
)
def test_a_fault_is_found(text: str, reading: str) -> None:
    verdict = compare_note(RECORD, text)
    assert verdict.wrong and reading in verdict.read


def test_the_wrong_part_is_marked() -> None:
    text = GOOD.replace("18.0", "18.1")
    assert [text[start:end] for start, end in compare_note(RECORD, text).marks] == ["18.1"]


def test_the_check_finds_seeded_faults_and_passes_right_notes(task: CaseNotes) -> None:
    verdicts = [
        (seeded.wrong, task.check(seeded.text, seeded.request).wrong) for seeded in task.seeded_texts(400, 3)
    ]
    assert len(verdicts) == 800 and all(truth == wrong for truth, wrong in verdicts)


def test_a_blind_check_would_be_caught(task: CaseNotes) -> None:
    """A check that compares numbers alone misses many of the same faults: the seeded ones tell."""
    missed = [
        seeded
        for seeded in task.seeded_texts(400, 3)
        if seeded.wrong and task.passes_rule(seeded.text, seeded.request)
    ]
    assert len(missed) > 40  # swapped numbers and wrong levels


def test_no_patient_serves_two_purposes(task: CaseNotes) -> None:
    parts = [set(part.tolist()) for part in task.parts.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 569


def test_requests_are_alike_for_a_seed_and_ask_each_finding_once(task: CaseNotes) -> None:
    requests = task.requests(200, 7)
    assert (requests == task.requests(200, 7)).all() and len(set(requests.tolist())) == 200
    for request in requests:
        names = [seeded.name for seeded in task.record(int(request)).measurements]
        assert len(set(names)) == 3


def test_repair_mends_one_fault_and_no_more(task: CaseNotes) -> None:
    request = int(task.requests(1, 1)[0])
    record = task.record(request)
    text = note(record, np.random.default_rng(0))
    _, *rest = text.split(". ")
    assert not task.check(task.repair(text, request), request).wrong
    short = ". ".join(rest)
    assert task.check(short, request).wrong and not task.check(task.repair(short, request), request).wrong
    assert task.repair("Nothing to report.", request) == "Nothing to report."


def test_meaning_forgets_the_order() -> None:
    task = CaseNotes()
    turned = (
        "The lesion is benign. Texture is normal at 17.1. Worst area is normal at 990. Radius is 18.0, high."
    )
    assert task.meaning(GOOD) == task.meaning(turned)
    assert read_note(turned)[2] == []


def test_the_steps_one_by_one_say_what_they_cannot_do(tmp_path: Path) -> None:
    from tolerate.errors import OptionError
    from tolerate.jobs.pictures.generate import generate_pictures
    from tolerate.runs.progress import SilentReporter
    from tolerate.runs.steps import train_model

    options = RunOptions(refine=("plain",), models=("lstm",), steps=3)
    trained = train_model(job("casenotes"), "lstm", options, tmp_path / "m", SilentReporter())
    assert trained.report.figures["steps"] == 3
    with pytest.raises(OptionError, match="writer of texts"):
        generate_pictures(tmp_path / "m", None, 3, tmp_path / "out", 0, SilentReporter())
    with pytest.raises(OptionError, match="no writer is called"):
        run(job("casenotes"), tmp_path / "r", RunOptions(models=("vae",)))


def test_a_small_run_ends_in_a_certificate_and_a_report(tmp_path: Path) -> None:
    options = RunOptions(
        models=("transformer",),
        refine=("plain", "vote-of-2+repair+rules"),
        labels=120,
        proof=60,
        steps=40,
        workers=0,
    )
    summary = run(job("casenotes"), tmp_path / "run", options).to_json()
    assert (tmp_path / "run" / "DONE").exists()
    certificate = Certificate.loads((tmp_path / "run" / "certificate.json").read_text("utf-8"))
    assert english_words(certificate_text(certificate, "zh"), {job("casenotes").check}) == []
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "made-text" in page or not summary["sheets"].get("released")
    assert summary["reader"]["tested_on"] == 2000 and summary["reader"]["wrong"] == 0
    metrics = summary["models"][0]["metrics"]
    assert metrics["bits"] > 0 and 0 < metrics["bits_kn"] < 2
    assert run(job("casenotes"), tmp_path / "run", options).to_json() == summary
