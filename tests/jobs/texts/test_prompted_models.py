"""A model behind a server writes case notes: shown examples in place of training, then on the path of all writers."""

import random
import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_openai import serving
from tolerate.jobs import job
from tolerate.jobs.texts.casenotes import Measurement, PatientRecord, note
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run


def scribe(prompt: str, seed: int) -> str:
    """A right note of the record it is shown; one in ten has another impression."""
    *listed, impression = prompt.split("; ")
    findings = [re.fullmatch(r"(.+) ([\d.]+) (very high|high|low|normal)", part) for part in listed]
    if random.Random(f"{prompt} {seed}").random() < 0.1:
        impression = {"benign": "malignant", "malignant": "benign"}[impression]
    record = PatientRecord(tuple(Measurement(*match.groups()) for match in findings if match), impression)
    return note(record, np.random.default_rng(seed))


@pytest.mark.parametrize("logprobs", [True, False], ids=["with", "without log-probabilities"])
def test_it_takes_the_place_of_a_trained_writer(
    logprobs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLERATE_CACHE", str(tmp_path / "memory"))
    with serving(scribe, logprobs=logprobs) as fake:
        options = RunOptions(
            models=(fake.name("in=1+out=1"),),
            refine=("plain", "vote-of-4+rules"),
            labels=150,
            proof=60,
            tolerance=0.05,
            workers=0,
        )
        summary = run(job("casenotes"), tmp_path / "run", options).to_json()
    message = fake.bodies[0]["messages"][0]
    assert message["role"] == "system" and message["content"].count("Output: ") == 6
    plain, vote = summary["strategies"]
    assert 0.02 < plain["risk"] < 0.2 and vote["risk"] < plain["risk"]
    assert summary["best"][summary["job"]["tolerances"].index(0.05)]["strategy"].endswith("vote-of-4+rules")
    assert vote["compute_seconds"] > plain["compute_seconds"] > 0
    assert "perplexity" not in summary["models"][0]["metrics"]
    assert bool(summary["models"][0]["findings"]) is not logprobs
    assert "fake at 127.0.0.1" in (tmp_path / "run" / "report.html").read_text("utf-8")
