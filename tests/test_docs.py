"""The documents are true: their Python runs, their commands run, their links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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
    "tolerate run digits": "tests/test_digits.py",
    "tolerate run mnist": "tests/test_digits.py",
    "tolerate run pictures": "tests/test_digits.py",
    "tolerate run casenotes": "tests/test_casenotes.py",
    "tolerate run restaurants": "tests/test_restaurants.py",
    "tolerate run support": "tests/test_support.py",
    "tolerate run poems": "tests/test_poems.py",
}


def commands(page: Path) -> list[str]:
    """The indented lines of a page that call one of our commands."""
    lines = [
        line.split("#")[0].strip() for line in page.read_text("utf-8").splitlines() if line.startswith("    ")
    ]
    return [line for line in lines if line.split(" ")[0] in ("tolerate", "make", "pip")]


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
    (folder / "batch.csv").write_text("text\n" + "".join(f"text {i}\n" for i in range(2000)))


def here(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if python(page)], ids=here)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for text in python(page):
        exec(compile(text, here(page), "exec"), names)


def elsewhere(command: str) -> bool:
    return any(command == start or command.startswith(start + " ") for start in ELSEWHERE)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=here)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    """In the order of the page, in a folder with a table; what one leaves the next may use."""
    answers(tmp_path)
    for command in commands(page):
        if elsewhere(command):
            continue
        words = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode in (0, 1) and not (done.returncode and done.stderr), (
            f"{command}\n{done.stderr}"
        )


@pytest.mark.parametrize("page", PAGES, ids=here)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), f"{here(page)} links to {target}"


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {word for page in PAGES for word in re.findall(r"^    make (\w+)", page.read_text("utf-8"), re.M)}
    assert named <= targets and {"demo", "test"} <= named


def test_every_command_is_in_the_docs() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    names = [
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    ]
    assert [name for name in names if f"tolerate {name}" not in text] == []


def test_every_option_of_the_docs_exists() -> None:
    """No page names an option that its command does not have."""
    for page in PAGES:
        for command in commands(page):
            words = shlex.split(command)
            if words[0] != "tolerate" or len(words) < 2:
                continue
            help_text = subprocess.run(
                [sys.executable, "-m", "tolerate", words[1], "--help"], capture_output=True, text=True
            ).stdout
            for word in words[2:]:
                if word.startswith("-"):
                    assert re.search(rf"(^|[\s,]){re.escape(word)}\b", help_text, re.M), f"{command}: {word}"
