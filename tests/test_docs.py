"""The documents are true: their Python runs, their commands run, their links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import typer

from tolerate.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
ELSEWHERE = {  # commands that a test of their own runs, or that need a person
    "make": "test_the_make_targets_exist",
    "pip": "the make targets install",
    "tolerate career data": "tests/careers/data/test_onet.py",
    "tolerate career ask": "tests/careers/person/test_interview.py",
    "tolerate run digits": "tests/jobs/pictures/test_digits.py",
    "tolerate run mnist": "tests/jobs/pictures/test_digits.py",
    "tolerate run pictures": "tests/jobs/pictures/test_digits.py",
    "tolerate run maths": "tests/jobs/texts/test_maths.py",
    "tolerate run headlines": "tests/jobs/texts/test_headlines.py",
    "tolerate run casenotes --models": "tests/jobs/texts/test_prompted_models.py",
    "tolerate train hf:models/base#lora+rank=8": "tests/models/pretrained/test_adapters.py",
    "tolerate generate hf:models/base": "tests/models/pretrained/test_pretrained.py",
    "tolerate export base-lora": "tests/models/pretrained/test_adapters.py",
    "tolerate train transformer#hashed=0+pointer=false+tokens=bpe:500": "tests/models/texts/test_architectures.py",
    "tolerate export": "tests/models/texts/test_architectures.py",
    "tolerate serve": "tests/service/test_demo.py",
    "tolerate run casenotes": "tests/jobs/texts/test_casenotes.py",
    "tolerate run restaurants": "tests/jobs/texts/test_restaurants.py",
    "tolerate run support": "tests/jobs/texts/test_support.py",
    "tolerate run poems": "tests/jobs/texts/test_poems.py",
    "tolerate run plays": "tests/jobs/texts/test_plays.py",
}


def commands(page: Path) -> list[str]:
    """The indented lines of a page that call one of our commands."""
    lines = [
        line.split(" #")[0].strip()
        for line in page.read_text("utf-8").splitlines()
        if line.startswith("    ")
    ]
    return [line for line in lines if line.split(" ")[0] in ("tolerate", "make", "pip")]


def printed(page: Path) -> dict[str, str]:
    """What a page says that a command prints: the block right after it, "…" standing for anything."""
    blocks = re.findall(r"^    (tolerate [^\n]*)\n\n```text\n(.*?)```", page.read_text("utf-8"), re.M | re.S)
    return {command.split(" #")[0].strip(): text for command, text in blocks}


NUMBER = r"-?\d[\d,]*(?:\.\d+)?"


def agrees(quoted: str, real: str) -> bool:
    """Whether a page's block is what was printed: line breaks and "…" apart, numbers to a tenth of themselves.

    A better method may release a little more than when the page was written; it may not change the story.
    """
    parts = (re.sub(NUMBER, "\0", " ".join(part.split())) for part in quoted.split("…"))
    pattern = r".*?".join(rf"\s*{re.escape(part)}\s*" for part in parts).replace("\\\0", "\0")
    match = re.search(pattern.replace("\0", f"({NUMBER})"), " ".join(real.split()), re.S)
    numbers = [float(number.replace(",", "")) for number in re.findall(NUMBER, quoted.replace("…", " … "))]
    if not match or len(numbers) != len(match.groups()):
        return False
    printed_ones = [float(number.replace(",", "")) for number in match.groups()]
    return all(abs(a - b) <= 0.1 * max(abs(a), abs(b)) for a, b in zip(numbers, printed_ones, strict=True))


def provided(command: str, folder: Path) -> bool:
    """Whether what a command reads is there; the shared data is, where it exists, as `data`."""
    if "data/labelled" not in command:
        return True
    lend(folder)
    return (folder / "data").exists()


def lend(folder: Path) -> None:
    """Let a page's `data/labelled/...` lead to the shared data."""
    shared = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data"))
    if shared.is_dir() and not (folder / "data").exists():
        (folder / "data").symlink_to(shared.resolve())


def python(page: Path) -> list[str]:
    return [
        text
        for text in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
        if ">>>" not in text
    ]


def answers(folder: Path) -> None:
    """A table such as the pages speak of: confident answers are right, two to a question."""
    rng = np.random.default_rng(0)
    lines = ["question,model,confidence,wrong"]
    for question in range(1000):
        for model, confidence in zip(("small", "large"), rng.random(2), strict=True):
            lines.append(f"q{question},{model},{confidence:.4f},{int(rng.random() > confidence**0.1)}")
    (folder / "answers.csv").write_text("\n".join(lines) + "\n")
    batch = "".join(f"text {i},{rng.random():.4f}\n" for i in range(2000))
    (folder / "batch.csv").write_text("text,confidence\n" + batch)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if python(page)], ids=name_of)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(tmp_path)
    lend(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for text in python(page):
        exec(compile(text, name_of(page), "exec"), names)


def matching_exclusions(command: str) -> list[str]:
    """The entries of ELSEWHERE that a command begins with; quotes in the page make no difference."""
    words = shlex.split(command)
    return [start for start in ELSEWHERE if words[: len(start.split())] == start.split()]


def test_every_exclusion_matches_a_command_and_names_a_test() -> None:
    used = {start for page in PAGES for command in commands(page) for start in matching_exclusions(command)}
    assert set(ELSEWHERE) - used == set()
    assert [path for path in ELSEWHERE.values() if path.endswith(".py") and not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    """In the order of the page, in a folder with a table; what one leaves the next may use."""
    answers(tmp_path)
    shown = printed(page)
    for command in commands(page):
        if matching_exclusions(command) or not provided(command, tmp_path):
            continue
        words = [sys.executable, "-m", *shlex.split(command)]
        speaking = {**os.environ, "TOLERATE_LANG": "en"}
        done = subprocess.run(words, cwd=tmp_path, env=speaking, capture_output=True, text=True, timeout=300)
        assert done.returncode in (0, 1) and not (done.returncode and done.stderr), (
            f"{command}\n{done.stderr}"
        )
        assert agrees(shown.get(command, ""), done.stdout), f"{command} prints\n{done.stdout}"
    if any("data/labelled" in command for command in commands(page)) and not (tmp_path / "data").exists():
        pytest.skip("the shared data is absent (set TOLERATE_SHARED)")


@pytest.mark.parametrize(
    ("quoted", "real", "right"),
    [
        ("may go: … at most\n5%", "20% may go: we are sure that at\n most 5% of them.", True),
        ("16% may go", "17.5% may go", True),
        ("16% may go", "18.5% may go", False),
        ("1,209 of 9,000: risk 4.8%", "1,210 of 9,000: risk 4.8%", True),
        ("at most 5%", "at most 10%", False),
        ("release", "nothing", False),
        ("", "anything", True),
    ],
)
def test_a_page_that_misquotes_is_seen(quoted: str, real: str, right: bool) -> None:
    assert agrees(quoted, real) is right


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {word for page in PAGES for word in re.findall(r"^    make (\w+)", page.read_text("utf-8"), re.M)}
    assert named <= targets and {"demo", "test"} <= named


def test_every_command_is_in_the_docs() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    assert [name for name in names_of(app) if f"tolerate {name}" not in text] == []


def names_of(commands: typer.Typer) -> Iterator[str]:
    """Every command, those of the groups with the group's name before."""
    for command in commands.registered_commands:
        yield command.name or command.callback.__name__
    for group in commands.registered_groups:
        for name in names_of(group.typer_instance):
            yield f"{group.name} {name}"


@cache
def help_of(*command: str) -> str:
    words = [sys.executable, "-m", "tolerate", *command, "--help"]
    return subprocess.run(words, capture_output=True, text=True).stdout


def test_every_option_of_the_docs_exists() -> None:
    """No page names an option that its command does not have."""
    for page in PAGES:
        for command in commands(page):
            words = shlex.split(command)
            if words[0] != "tolerate" or len(words) < 2:
                continue
            help_text = help_of(*(words[1:3] if words[1] == "career" else words[1:2]))
            for word in words[2:]:
                if word.startswith("-"):
                    assert re.search(rf"(^|[\s,]){re.escape(word)}\b", help_text, re.M), f"{command}: {word}"
