"""Lines of a play: the dictionary, what is no line, what is copied, the check's own error, and a small run."""

from pathlib import Path

import numpy as np
import pytest

from tolerate.checks.texts.english import English, english_words
from tolerate.errors import DataError, OptionError
from tolerate.jobs import job
from tolerate.jobs.texts.plays import MIN_COPY_CHARACTERS, Plays, find_form_fault, read_play
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run

pytest.importorskip("symspellpy")
DEBIAN = Path("/usr/share/dict/american-english-huge")  # Debian's wamerican-huge, where it is installed


@pytest.fixture(scope="module")
def task(shared: Path) -> Plays:
    return Plays(shared / "raw" / "tiny_shakespeare")


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("Now is the winter of our discontent", []),
        ("He hath lov'd thee, and mak'st and loveth", []),
        ("The thoughters of the king", ["thoughters"]),
        ("My lord's and Grumio's horse", []),
        ("pring haing theirst", ["pring", "haing", "theirst"]),
        ("unking'd", []),
    ],
)
def test_which_words_are_english(text: str, strange: list[str]) -> None:
    english = English(["Grumio hath love of the king"])
    assert [text[start:end] for start, end in english.unknown_words(text)] == strange


def test_words_of_the_given_lines_pass() -> None:
    english = English([])
    assert english.unknown_words("good Zanobio!") and not english.unknown_words("good Zanobio!", "ZANOBIO:")


def test_without_the_list_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    english_words.cache_clear()
    monkeypatch.setattr("tolerate.checks.texts.english.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"tolerate\[text\]"):
        English([])
    english_words.cache_clear()


@pytest.mark.parametrize("text", ["", "...", "KING RICHARD III:", "All:", "so " * 40, "One.\nTwo."])
def test_what_is_no_line(text: str) -> None:
    assert find_form_fault(text, frozenset({"All:"})) and not find_form_fault(
        "Thus he says:", frozenset({"All:"})
    )


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("One line.\n")
    with pytest.raises(DataError, match="1 spoken lines"):
        read_play(tmp_path)
    (tmp_path / "input.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_play(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_play(tmp_path / "none.txt")


def test_parts_do_not_meet_and_the_last_tenth_is_asked(task: Plays) -> None:
    parts = {name: set(part.tolist()) for name, part in task.parts.items()}
    assert not (parts["generator"] & parts["judge"]) and not (parts["judge"] & parts["asked"])
    before = len("\n".join(task.lines[: min(parts["asked"])]))
    assert before / len("\n".join(task.lines)) == pytest.approx(0.9, abs=0.001)
    line_number = task.requests(1, 0)[0]
    assert (
        "\n".join(task.lines[line_number - 4 : line_number]).endswith(task.prompt(line_number))
        and len(task.prompt(line_number)) <= 80
    )


def test_copies_are_seen_and_marked(task: Plays) -> None:
    line = next(
        line_number for line_number in task.learned_lines if len(line_number) > MIN_COPY_CHARACTERS + 10
    )
    result = task.check(line, int(task.parts["asked"][0]))
    assert result.wrong and "learned by heart" in result.read
    part = "Zounds, " + line[:MIN_COPY_CHARACTERS].lower()
    assert (
        task.beyond_copies(part) == 0
        and task.beyond_copies("Zounds, thou whey-faced candle of mine eye") == 1
    )
    assert task.beyond_copies("I am content.") == 1  # three words that anybody may say


def test_own_error_on_real_lines(task: Plays) -> None:
    """One real line in twenty has a word that no list has; a fault that is put in is seen 98 times in 100."""
    result = task.own_error(400, 0)
    assert result.refused / result.right < 0.08 and result.missed / result.faulty < 0.03


def test_a_check_without_the_list_refuses_too_many(task: Plays) -> None:
    """The twin: the play's own words alone call a fifth of the unseen lines wrong."""
    learned = task.english.text_words
    lines = [task.lines[index] for index in task.parts["asked"].tolist()]
    strange = [any(word.strip(".,;:!?'-").lower() not in learned for word in line.split()) for line in lines]
    assert np.mean(strange) > 0.15


@pytest.mark.skipif(not DEBIAN.exists(), reason="Debian's wamerican-huge is not installed")
def test_beside_debians_list(task: Plays) -> None:
    """Words that the list lets pass are words by Debian's largest list too, 99 in 100."""
    debian = {line.strip().lower() for line in DEBIAN.read_text("utf-8").splitlines()}
    own = english_words()
    assert np.mean([word in debian for word in own if word.isalpha()]) > 0.97


def test_a_small_run(shared: Path, tmp_path: Path) -> None:
    """On the last quarter of the play, so that it takes seconds."""
    whole = (shared / "raw" / "tiny_shakespeare" / "input.txt").read_text("utf-8")
    (tmp_path / "input.txt").write_text(whole[-len(whole) // 4 :], "utf-8")
    options = RunOptions(
        data=tmp_path,
        models=("counts",),
        refine=("plain", "best-of-2+rules+no-copies"),
        labels=150,
        proof=60,
        workers=0,
    )
    summary = run(job("plays"), tmp_path / "run", options).to_json()
    figures = summary["models"][0]["metrics"]
    assert 1.5 < figures["bits"] < 3.5 and figures["longest_copy"] > 5 and 0.2 < figures["as_requested"] < 0.9
    assert summary["strategies"][0]["calibration"]["bins"]
    assert "right ones it refused" in summary["reader"]["sentence"]
    assert (tmp_path / "run" / "report.html").exists()
