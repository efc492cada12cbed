"""The help desk: readers of intents learn from nothing, hand over what is out of scope, and are held to the labels."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.support.intents import desk_questions, write_desk_data
from tolerate.errors import DataError, OptionError
from tolerate.jobs import job
from tolerate.jobs.texts.support_data import HAND_OVER, read_support_data
from tolerate.models.writers.ngram_classifier import NGramFeatures, load_reader, reading_cost, teach_reader
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run


@pytest.mark.parametrize("kind", ["linear", "bag", "both"])
def test_a_reader_learns_and_is_kept(kind: str, tmp_path: Path) -> None:
    texts, names = desk_questions(500, 0)
    reader = teach_reader(kind, texts, names, passes=12)
    held_out, truth = desk_questions(300, 1)
    logs = reader(held_out)
    assert np.allclose(np.exp(logs).sum(1), 1, atol=1e-4)
    assert (np.array(reader.classes)[logs.argmax(1)] == truth).mean() > 0.85
    reader.save(tmp_path)
    assert np.allclose(load_reader(tmp_path)(held_out), logs, atol=1e-5)
    assert reading_cost(reader, held_out) > 0


def test_features_know_words_and_spelling() -> None:
    features = NGramFeatures()
    rows = features.fit(["card lost", "crad lost", "pin"])
    similarity = (rows @ rows.T).toarray()
    assert similarity[0, 1] > 0.5 > similarity[0, 2] and np.allclose(np.diag(similarity), 2, atol=1e-5)
    assert (features(["never seen"]) @ rows.T).toarray().shape == (1, 3)


def test_a_run_hands_over_and_counts_what_it_answers(tmp_path: Path) -> None:
    data = write_desk_data(tmp_path / "data")
    options = RunOptions(data=data, models=("ngrams",), labels=400, proof=200, workers=0)
    summary = run(job("support"), tmp_path / "run", options).to_json()
    metrics = summary["models"][0]["metrics"]
    assert metrics["accuracy"] > 0.7 and 0 <= metrics["outside_answered"] <= 1
    risks = [row["proof"]["risk"] for row in summary["best"] if row["proof"] and row["proof"]["released"]]
    assert risks and risks[0] < 0.2
    assert "BANKING77" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_answering_what_is_out_of_scope_is_wrong_and_handing_over_is_none(tmp_path: Path) -> None:
    from tolerate.jobs.texts.support import SupportWorkshop
    from tolerate.runs.plan import plan_run
    from tolerate.runs.progress import SilentReporter
    from tolerate.runs.workshop import Candidates

    data = write_desk_data(tmp_path)
    plan = plan_run(job("support"), RunOptions(data=data))
    workshop = SupportWorkshop(plan, tmp_path, SilentReporter())
    outside = workshop.data.in_scope
    assert workshop.check(np.array(["card"]), np.array([outside])).losses.tolist() == [1.0]
    candidates = Candidates(np.array([[HAND_OVER], ["card"]]), np.array([[0.9], [0.8]]), np.ones((2, 1)))
    index, scores = workshop.choose("plain", candidates)
    assert index.tolist() == [-1, 0] and np.isnan(scores[0]) and scores[1] == 0.8
    requests = workshop.requests(4000, 1)
    assert abs((requests >= outside).mean() - 0.1) < 0.03


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a folder with banking77/train\.csv"):
        read_support_data(tmp_path)
    write_desk_data(tmp_path / "a")
    (tmp_path / "a" / "clinc150" / "data_full.json.gz").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(DataError, match="lacks oos_test"):
        read_support_data(tmp_path / "a")
    with pytest.raises(OptionError, match="no classifier of intents"):
        run(job("support"), tmp_path / "r", RunOptions(data=tmp_path, models=("vae",)))
    with pytest.raises(DataError, match="two or more"):
        teach_reader("linear", ["a"], ["b"])


def test_the_published_questions_are_read(shared: Path) -> None:
    data = read_support_data(shared / "raw")
    assert data.in_scope == 3080 and len(data.requests) == 4080 and len(set(data.training.intents)) == 78
    assert not set(data.requests.texts[data.in_scope :]) & set(data.training.texts)
