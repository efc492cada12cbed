"""The job `maths` from the command line to its report, with a small fake that solves nine problems in ten."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_openai import Fake, serving, status
from tolerate.cli import main
from tolerate.jobs import job
from tolerate.jobs.texts.maths import Maths
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run


def problems(folder: Path, n: int) -> Path:
    """Sums with worked answers, as GSM8K writes them."""
    path = folder / "problems.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for index in range(n):
            a, b = 1000 + index, index % 7
            answer = f"{a}+{b}=<<{a}+{b}={a + b}>>{a + b}\n#### {a + b:,}"
            file.write(
                json.dumps({"question": f"Ann has ${a} and finds ${b}. How much?", "answer": answer}) + "\n"
            )
    return path


def solve(prompt: str, seed: int) -> str:
    """Hard problems are right half of the time, others nearly always; wrong numbers differ from each other."""
    a, b = (int(word.strip("$.")) for word in prompt.split() if word.startswith("$"))
    rng = random.Random(f"{a} {seed}")
    wrong = rng.random() < (0.5 if a % 10 == 0 else 0.01)
    total = a + b + (rng.choice([-1, 1]) * rng.randint(1, 500) if wrong else 0)
    return f"Step by step: ${a} + ${b}. " + rng.choice(
        ["#### ${n}.00", "The answer is {n:,} dollars.", "= {n}"]
    ).format(n=total)


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLERATE_CACHE", str(tmp_path / "memory"))


def maths(data: Path, fake: Fake, **more: Any) -> RunOptions:
    chosen = {"labels": 400, "proof": 200, "models": (fake.name("in=1+out=2"),), "workers": 0}
    return RunOptions(data=data, **{**chosen, **more})


def test_it_runs_from_the_command_line_to_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    problems(tmp_path, 420)
    with serving(solve) as fake:
        words = f"tolerate run maths --data {tmp_path} --models {fake.name('in=1+out=2')} --labels 300 --proof 120"
        words += f" --tolerance 2% --out {tmp_path / 'run'} --workers 0 --lang en"
        monkeypatch.setattr(sys, "argv", words.split(" "))
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))
    index = summary["job"]["tolerances"].index(0.02)
    best = summary["best"][index]
    assert best["strategy"].endswith("vote-of-5+rules") and best["coverage"] > 0.8
    assert best["proof"]["released"] > 90 and best["proof"]["risk"] <= 0.05
    assert {row["name"]: row["n"] for row in summary["data"]["split"]} == {"sample": 300, "fresh": 120}
    assert "missed 0" in summary["reader"]["sentence"] and "refused 0" in summary["reader"]["sentence"]
    assert summary["sheets"]["released"] and summary["sheets"]["held"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "fake at 127.0.0.1" in page and "Solve grade-school problems" in page
    assert "at most 2% of them wrong" in capsys.readouterr().out
    plain, vote = summary["strategies"]
    assert vote["points"][index]["coverage"] > plain["points"][index]["coverage"] + 0.2
    assert vote["compute_seconds"] > plain["compute_seconds"] > 0


def test_a_killed_run_asks_for_nothing_twice(tmp_path: Path) -> None:
    """The server breaks in the middle; the same command finishes, and the fake sees each request once."""
    data = problems(tmp_path, 120)
    with serving(solve) as fake:
        options = maths(data, fake, labels=60, proof=40)
        fake.faults = [None] * 30 + [status(401)] * 50
        with pytest.raises(ValueError, match="401"):
            run(job("maths"), tmp_path / "run", options)
        answered = [json.dumps(body) for body in fake.bodies[:30]]
        fake.faults = []
        done = len(fake.bodies)
        run(job("maths"), tmp_path / "run", options)
        again = [json.dumps(body) for body in fake.bodies[done:]]
        assert not set(answered) & set(again) and len(again) == len(set(again))


def test_rows_serve_one_purpose_each(tmp_path: Path) -> None:
    rows = {"sample": 30, "fresh": 20, "review": 10}
    task = Maths(problems(tmp_path, 40), rows, seed=3)
    assert task.sizes == {"sample": 20, "fresh": 13, "review": 7} or sum(task.sizes.values()) == 40
    used = [int(row) for part in task.parts.values() for row in part]
    assert len(used) == len(set(used))
    assert list(task.requests(5, 0, "fresh")) == list(task.parts["fresh"][:5])


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("empty.csv", b"", "is empty"),
        ("head.csv", b"question,answer\n", "0 rows"),
        ("one.csv", b"question,answer\nHow many?,3\n", "1 rows"),
        ("other.csv", b"prompt,answer\nHow many?,3\n", 'no column "question"'),
        ("words.csv", b"question,answer\n" + b"How many?,many\n" * 9, "no number"),
        (
            "latin.csv",
            b"question,answer\n" + "Combien à deux?,3\n".encode("latin-1") * 9,
            "cannot be read|UTF",
        ),
        ("half.jsonl", b'{"question": "a", "answer": "3"}\n' * 9 + b'{"question": "a', "cannot be read"),
        (
            "two.jsonl",
            b'{"question": "a", "answer": "3"}\n' * 9 + b'{"question": "\xe0", "answer": "3"}\n',
            "as UTF-8",
        ),
        ("utf16.csv", ("question,answer\n" + "a,3\n" * 9).encode("utf-16"), "cannot be read"),
        ("gz.csv.gz", b"no gzip", "cannot be read"),
        ("list.jsonl", b'{"question": "a", "answer": ["3"]}\n' * 9, "expected text"),
        ("long.csv", b"question,answer\n" + b"a" * 3_000_000 + b",3\n" + b"b,3\n" * 9, "too long"),
        ("notes.txt", b"hello", "no known format"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path: Path, name: str, data: bytes, error: str) -> None:
    (tmp_path / name).write_bytes(data)
    with serving(solve) as fake, pytest.raises(ValueError, match=error) as caught:
        run(job("maths"), tmp_path / "run", maths(tmp_path / name, fake))
    assert name in str(caught.value) and not fake.bodies


def test_marks_and_line_ends_of_other_systems_do_no_harm(tmp_path: Path) -> None:
    rows = "question,answer\r\n" + "Añn has 3?,3\r\n" * 9
    (tmp_path / "windows.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert Maths(tmp_path / "windows.csv", {"sample": 9}, 0).prompt(0) == "Añn has 3?"


@pytest.mark.parametrize(
    ("models", "error"),
    [
        ([], "needs --models"),
        (["--models", "gpt"], "expected openai:MODEL@URL"),
        (["--models", "openai:m@http://127.0.0.1:9/v1#rps=3"], "no setting"),
        (["--models", "openai:m@http://127.0.0.1:9/v1#tries=1"], "cannot reach 127.0.0.1:9"),
    ],
)
def test_the_command_line_says_what_is_wrong_with_a_model(
    tmp_path: Path, models: list[str], error: str
) -> None:
    data = problems(tmp_path, 50)
    words = [sys.executable, "-m", "tolerate", "run", "maths", "--data", str(data), "--workers", "0", *models]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and error in done.stderr and "Traceback" not in done.stderr


@pytest.mark.shared
def test_real_problems_are_read(shared: Path) -> None:
    task = Maths(shared / "raw" / "gsm8k_train" / "test.jsonl.gz", {"sample": 1000, "fresh": 319}, 0)
    seeded = list(task.seeded_texts(500, 1))
    assert len(seeded) == 1000 and all(
        task.check(seeded_text.text, seeded_text.request).wrong == seeded_text.wrong for seeded_text in seeded
    )
