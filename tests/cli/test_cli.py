"""The command line: what a person types, what they see, and the exit codes a pipeline relies on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOLERATE = [sys.executable, "-m", "tolerate"]


def tolerate(*words: str | Path, keys: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TOLERATE, *map(str, words)], input=keys, capture_output=True, text=True, timeout=300
    )


def table(folder: Path, rows: int = 400) -> Path:
    """Scores that tell: the upper half is right, of the lower half a third is wrong."""
    path = folder / "labels.csv"
    lines = [f"{int(i < rows // 2 and i % 3 == 0)},{i / rows},q{i}" for i in range(rows)]
    path.write_text("wrong,score,question\n" + "\n".join(lines) + "\n")
    return path


def test_certify_prints_a_promise(tmp_path: Path) -> None:
    done = tolerate("certify", table(tmp_path), "--loss", "wrong", "--score", "score", "-t", "5%", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    keys = {"threshold", "coverage", "tolerance", "confidence", "risk_bound", "labels", "clusters", "method"}
    assert keys | {"data_sha256"} <= printed.keys()
    assert printed["labels"] == 400 and printed["tolerance"] == 0.05 and printed["confidence"] == 0.95
    assert 0.4 < printed["coverage"] < 0.65 and 0.3 < printed["threshold"] < 0.6


def test_certify_speaks_two_languages(tmp_path: Path) -> None:
    words = ("certify", table(tmp_path), "--loss", "wrong", "--score", "score", "-t", "0.05")
    assert "5%" in tolerate(*words, "--lang", "en").stdout
    chinese = tolerate(*words, "--lang", "zh").stdout
    assert "5%" in chinese and "置信" in chinese


def test_nothing_proven_exits_with_1(tmp_path: Path) -> None:
    done = tolerate("certify", table(tmp_path), "--loss", "wrong", "--score", "score", "-t", "0.1%", "--json")
    assert done.returncode == 1
    printed = json.loads(done.stdout)
    assert printed["coverage"] == 0 and printed["threshold"] is None and printed["advice"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["certify", "no.csv", "-t", "2%"], "does not exist"),
        (["certify", "{table}", "-t", "2%"], 'no column "loss"'),
        (["certify", "{table}", "-t", "2%", "--loss", "wrnog"], 'Did you mean "wrong"'),
        (["certify", "{table}", "-t", "200%", "--loss", "wrong"], "no share between 0 and 1"),
        (["certify", "{table}", "--loss", "wrong"], "tolerance"),
        (["certify", "{table}", "-t", "2%", "--loss", "wrong", "--lang", "fr"], '"fr"'),
        (["run", "sonnets"], "no job is called"),
        (["run", "mnist"], "needs --data"),
        (["run", "digits", "--models", "vea"], 'Did you mean "vae"'),
        (["run", "digits", "--budget", "soon"], "not a duration"),
        (["run", "mnist", "--data", "no-such-folder"], "no-such-folder"),
    ],
)
def test_bad_input_is_told_in_a_line(tmp_path: Path, words: list[str], message: str) -> None:
    path = table(tmp_path)
    done = tolerate(*[word.replace("{table}", str(path)) for word in words], *_out(words, tmp_path))
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def _out(words: list[str], folder: Path) -> list[str]:
    return ["--out", str(folder / "run")] if words[0] == "run" else []


def test_the_base_starts_fast_and_light() -> None:
    """`certify` does not load torch, scikit-learn or the report."""
    code = "import sys, tolerate.cli, tolerate.stats; print(sorted({'torch', 'sklearn', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_every_command_shows_an_example() -> None:
    from tolerate.cli import app

    for command in app.registered_commands:
        assert command.epilog and command.epilog.startswith("Example"), command.callback


def batch(folder: Path, wrong: float) -> Path:
    path = folder / "batch.csv"
    rows = [f"text {i},{int(i % 1000 < wrong * 1000)}" for i in range(2000)]
    path.write_text("text,verdict\n" + "\n".join(rows) + "\n")
    return path


def test_an_audit_at_the_terminal_stops_continues_and_is_proven(tmp_path: Path) -> None:
    path = batch(tmp_path, 0.0)
    words = ("audit", path, "-t", "5%", "--show", "text")
    first = tolerate(*words, keys="ffwufq")  # the third verdict was a slip, changed at once
    assert first.returncode == 1 and "4 verdicts are kept" in first.stdout
    second = tolerate(*words, keys="f" * 200)
    assert second.returncode == 0 and "may be released: with 95%" in second.stdout
    state = json.loads((tmp_path / "batch.csv.audit.json").read_text())
    assert [loss for _, loss, *_ in state["readings"][:4]] == [0, 0, 1, 0]


def test_an_audit_from_a_column_and_its_plan(tmp_path: Path) -> None:
    good = tolerate("audit", batch(tmp_path, 0.0), "-t", "5%", "--loss", "verdict", "--json")
    assert json.loads(good.stdout)["scope"] == "all"
    (tmp_path / "batch.csv.audit.json").unlink()
    bad = tolerate("audit", batch(tmp_path, 0.2), "-t", "5%", "--loss", "verdict", "--json")
    assert bad.returncode == 1 and json.loads(bad.stdout)["scope"] == "nothing"
    (tmp_path / "batch.csv.audit.json").unlink()
    plan = tolerate("audit", batch(tmp_path, 0.2), "-t", "5%", "--plan").stdout.splitlines()
    assert len(plan) == 6 and plan[1].split()[0] == "0.00%"
    assert not (tmp_path / "batch.csv.audit.json").exists()


def test_an_audit_is_not_continued_with_other_options(tmp_path: Path) -> None:
    path = batch(tmp_path, 0.0)
    tolerate("audit", path, "-t", "5%", keys="ff")
    done = tolerate("audit", path, "-t", "1%", keys="ff")
    assert done.returncode == 2 and "tolerance = 0.05, this command asks for 0.01" in done.stderr


def test_a_certificate_can_be_verified_and_shown(tmp_path: Path) -> None:
    path, promise = table(tmp_path), tmp_path / "certificate.json"
    tolerate("certify", path, "--loss", "wrong", "--score", "score", "-t", "5%", "--out", promise)
    assert tolerate("verify", promise, path).returncode == 0
    assert tolerate("report", promise, "--table", path).returncode == 0
    assert (tmp_path / "certificate.html").stat().st_size > 1000
    path.write_text(path.read_text().replace("\n0,0.9", "\n1,0.9", 1))
    changed = tolerate("verify", promise, path)
    assert changed.returncode == 1 and changed.stdout
    promise.write_text("{}")
    assert tolerate("verify", promise, path).returncode == 2


def test_strategies_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    rows = [
        f"{name},{int(i % 4 == 0) if name == 'cheap' else 0},{cost}"
        for name, cost in (("cheap", 1), ("dear", 3))
        for i in range(400)
    ]
    path.write_text("model,wrong,spent\n" + "\n".join(rows) + "\n")
    words = ("compare", path, "--strategy", "model", "--loss", "wrong", "--cost", "spent", "--review", "9")
    strict = json.loads(tolerate(*words, "-t", "5%", "--json").stdout)
    assert [(row["strategy"], row["cost"]) for row in strict] == [("dear", 3.0), ("cheap", 9.0)]
    loose = tolerate(*words, "-t", "40%")
    assert loose.returncode == 0 and loose.stdout.startswith("cheap")
    assert tolerate(*words, "-t", "0.1%").returncode == 1


def test_cascades_are_compared_from_rows_and_from_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    long, wide = ["question,model,sure,wrong"], ["question,wrong_small,sure_small,wrong_large"]
    for question in range(800):
        sure = rng.random()
        wrong = int(rng.random() > sure**0.2), int(rng.random() < 0.01)
        long += [f"q{question},small,{sure:.4f},{wrong[0]}", f"q{question},large,,{wrong[1]}"]
        wide.append(f"q{question},{wrong[0]},{sure:.4f},{wrong[1]}")
    (tmp_path / "long.csv").write_text("\n".join(long) + "\n")
    (tmp_path / "wide.csv").write_text("\n".join(wide) + "\n")
    prices = ("--costs", "small=1,large=10", "--review", "40", "-t", "5%")
    rows = ("--strategy", "model", "--loss", "wrong", "--score", "sure", "--item", "question")
    done = tolerate("compare", tmp_path / "long.csv", *rows, "--cascade", "small,large", *prices)
    assert done.returncode == 0 and done.stdout.startswith("small > large"), done.stderr
    tiers = ("--tier", "small=wrong_small,sure_small", "--tier", "large=wrong_large")
    out = tmp_path / "cascade.json"
    done = tolerate("compare", tmp_path / "wide.csv", *tiers, *prices, "--out", out, "--lang", "zh")
    assert "错误不超过 5%" in done.stdout and "small > large" in done.stdout, done.stderr
    assert set(json.loads(out.read_text())) == {"certificate", "tiers"}
    plan = tolerate("compare", tmp_path / "wide.csv", *tiers, "-t", "5%", "--plan")
    assert plan.returncode == 0 and len(plan.stdout.splitlines()) == 4
    assert tolerate("compare", tmp_path / "wide.csv", "-t", "5%").returncode == 2
    assert tolerate("compare", tmp_path / "wide.csv", "--tier", "small", "-t", "5%").returncode == 2


def test_an_audit_is_verified_from_its_verdicts(tmp_path: Path) -> None:
    path, promise = batch(tmp_path, 0.001), tmp_path / "certificate.json"
    tolerate("audit", path, "-t", "5%", "--loss", "verdict", "--out", promise)
    assert tolerate("verify", promise, path).returncode == 0
    verdicts_file = tmp_path / "batch.csv.audit.json"
    record = json.loads(verdicts_file.read_text())
    verdicts_file.write_text(json.dumps({**record, "readings": record["readings"][:-1]}))
    changed = tolerate("verify", promise, path)
    assert changed.returncode == 1 and "labels is" in changed.stdout
    verdicts_file.unlink()
    assert tolerate("verify", promise, path).returncode == 2


def test_several_losses_each_with_its_tolerance(tmp_path: Path) -> None:
    path, promise = tmp_path / "answers.csv", tmp_path / "certificate.json"
    path.write_text(
        "wrong,harmful,score\n"
        + "".join(f"{int(i % 40 == 0)},{int(i % 400 == 0)},{i / 2000}\n" for i in range(2000))
    )
    done = tolerate(
        "certify", path, "--loss", "wrong=5%", "--loss", "harmful=1%", "--score", "score", "--out", promise
    )
    assert done.returncode == 0 and "5% (wrong), 1% (harmful)" in done.stdout
    mixed = tolerate(
        "certify", path, "--loss", "wrong", "--loss", "harmful=1%", "-t", "5%", "--score", "score"
    )
    assert mixed.stdout == done.stdout
    assert tolerate("verify", promise, path).returncode == 0
    promise.write_text(promise.read_text().replace('"risk_bound": 0.01', '"risk_bound": 0.001'))
    assert tolerate("verify", promise, path).returncode == 1
    missing = tolerate("certify", path, "--loss", "wrong", "--score", "score")
    assert missing.returncode == 2 and "--loss wrong=2%" in missing.stderr
    twice = tolerate("certify", path, "--loss", "wrong=5%", "--loss", "wrong=1%")
    assert twice.returncode == 2 and "twice" in twice.stderr


def test_the_certificates_of_a_comparison_are_verified(tmp_path: Path) -> None:
    path, comparison_file = tmp_path / "answers.csv", tmp_path / "compared.json"
    lines = [f"{('a', 'b')[i % 2]},{int(i % 50 == 1)},{i / 3000}" for i in range(3000)]
    path.write_text("model,wrong,score\n" + "\n".join(lines) + "\n")
    compared = tolerate(
        "compare", path, "--strategy", "model", "--loss", "wrong", "--score", "score", "-t", "5%", "--json"
    )
    comparison_file.write_text(compared.stdout)
    good = tolerate("verify", comparison_file, path, "--strategy", "model")
    assert good.returncode == 0 and good.stdout.count("holds") == 2, good
    rows = json.loads(compared.stdout)
    rows[0]["certificate"]["risk_bound"] = 1e-6
    comparison_file.write_text(json.dumps(rows))
    changed = tolerate("verify", comparison_file, path, "--strategy", "model")
    assert changed.returncode == 1 and "does not hold" in changed.stdout
    assert tolerate("verify", comparison_file, path).returncode == 2
