"""Pretrained models in the jobs that take models behind servers, and tuned ones beside writers of our own."""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_pretrained import save_model
from tolerate.base.files import slug
from tolerate.errors import OptionError
from tolerate.jobs import job
from tolerate.llm.model_names import parse_pretrained
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.pretrained import tune
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run
from tolerate.runs.plan import plan_run

pytest.importorskip("peft")
THINGS = ("cat", "dog", "house", "mat")


def reviews(n: int, seed: int) -> list[tuple[str, str]]:
    """Texts with what people say of them."""
    rng = random.Random(seed)
    rows = [(rng.choice(THINGS), rng.choice(("red", "sad"))) for _ in range(n)]
    return [
        (f"the {thing} {rng.randrange(90)} is {how}", {"red": "good", "sad": "bad"}[how])
        for thing, how in rows
    ]


def test_a_tuned_model_sorts_a_users_texts(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", scale=3.0)
    tune(
        parse_pretrained(f"hf:{base}#full+rate=0.01"),
        reviews(60, 1),
        tmp_path / "tuned",
        TrainingOptions(steps=100, batch=16),
    )
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *reviews(400, 2)])
    options = RunOptions(
        data=tmp_path / "texts.csv",
        models=(f"hf:{tmp_path / 'tuned'}", f"hf:{base}#tokens=4"),
        refine=("plain", "vote-of-3+rules"),
        labels=150,
        proof=60,
        tolerance=0.1,
        workers=0,
    )
    summary = run(job("headlines"), tmp_path / "run", options).to_json()
    tuned, plain = (row for row in summary["strategies"] if row["refine"] == "plain")
    assert tuned["risk"] < 0.05 and plain["risk"] > 0.4  # the untuned one has no idea
    assert tuned["compute_seconds"] > 0
    best = summary["best"][summary["job"]["tolerances"].index(0.1)]
    assert best["zone"] != "none" and "tuned" in best["strategy"]
    about = summary["models"][0]
    assert about["title"] == "tuned" and about["family"] == "pretrained" and about["parameters"] > 1000
    assert "tuned" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_maths_asks_a_local_model(tmp_path: Path) -> None:
    rows = [{"question": f"the cat sat on {n} mat", "answer": str(n)} for n in range(40)]
    (tmp_path / "problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = RunOptions(
        data=tmp_path / "problems.jsonl",
        models=(f"hf:{save_model(tmp_path / 'm', scale=3.0, chat=True)}#tokens=6",),
        refine=("plain",),
        labels=20,
        proof=10,
        workers=0,
    )
    summary = run(job("maths"), tmp_path / "run", options).to_json()
    assert summary["strategies"][0]["risk"] > 0.5 and summary["best"][0]["zone"] == "none"


def test_case_notes_tune_and_ask_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, fewer in (
        ("drafts.training_texts.MAX_PAIRS", 300),
        ("workshop.SEEDED_TEXTS", 50),
        ("workshop.EXPENSIVE_VERIFIER_REQUESTS", 10),
    ):
        monkeypatch.setattr(f"tolerate.jobs.texts.{name}", fewer)
    base = save_model(tmp_path / "base", max_position_embeddings=2000)
    options = RunOptions(
        models=(f"hf:{base}#lora+steps=4+batch=2+tokens=8", f"hf:{base}#tokens=2"),
        refine=("plain",),
        labels=8,
        proof=2,
        workers=0,
    )
    summary = run(job("casenotes"), tmp_path / "run", options).to_json()
    tuned, prompted = summary["models"]
    assert tuned["learning"] < 0.3 * tuned["parameters"] and tuned["metrics"]["perplexity"] > 1
    assert tuned["title"] == "base, tuned by LoRA" and "arXiv:2106.09685" in tuned["paper"]
    assert "perplexity" not in prompted["metrics"]
    # What was tuned writes on its own, by requests of its job, and takes part in another run.
    folder = tmp_path / "run" / "models" / slug(options.models[0])
    done = _command("generate", str(folder), "--count", "2", "--json", "--prompt", "a", "--decode", "limit=3")
    assert len(done.splitlines()) == 2 and json.loads(done.splitlines()[0])["tokens"] <= 3


def _command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tolerate", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_jobs_that_train_nothing_tune_nothing(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    (tmp_path / "problems.jsonl").write_text('{"question": "a", "answer": "1"}\n' * 9)
    options = RunOptions(data=tmp_path / "problems.jsonl", models=(f"hf:{base}#lora",))
    with pytest.raises(OptionError, match="trains none"):
        run(job("maths"), tmp_path / "run", options)


@pytest.mark.parametrize("name", ["hf:./nowhere", "own:nowhere", "hf:gpt2#rnak=3"])
def test_a_wrong_name_is_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(OptionError):
        plan_run(job("casenotes"), RunOptions(models=(name,)))
