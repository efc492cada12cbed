"""The scores of texts: a judge with a rubric, embeddings, agreement, the way back, and how a run is ranked by them."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.jobs.texts.test_prompted_models import scribe
from tests.refine.texts.test_refining import pool
from tests.support.fake_openai import Fake, serving, text
from tolerate.errors import DataError, OptionError, RunError
from tolerate.jobs import job
from tolerate.jobs.texts.casenotes import CaseNotes
from tolerate.jobs.texts.options import TextOptions
from tolerate.jobs.texts.restaurants import Restaurants
from tolerate.llm.client import ServedModel
from tolerate.llm.completion import Completion
from tolerate.llm.judge import RubricJudge, score_of
from tolerate.models.pretrained.embedders import checked_embedder, embedder, letter_embedder
from tolerate.refine.texts.refining import TextPool, parse_text, scored_by
from tolerate.runs.options import RunOptions
from tolerate.runs.pipeline import run
from tolerate.runs.plan import plan_run

# Ranking by a score


def scored(own: list[list[float]]) -> TextPool:
    """One request, two drafts each as written and mended, with a further score."""
    values, base = np.array(own), pool([[True] * 4], [[1, 2, 1, 1]], [[0.2, 0.9, 0.3, 0.4]])
    return TextPool(
        base.meanings,
        base.alone,
        base.fit,
        base.copies,
        base.opinion,
        {"judge": lambda rows, columns: values[rows, columns]},
        {"alike": lambda columns: np.eye(len(columns))[None] * 0.5 + 0.5},
    )


def test_another_score_ranks_and_releases() -> None:
    row = scored([[0.8, 0.1, 0.6, 0.7]])
    for name, index, score in (
        ("best-of-2", 1, 0.9),
        ("best-of-2+by-judge", 0, 0.8),
        ("plain+by-judge", 0, 0.8),
        ("vote-of-2+by-judge", 1, 0.1),
        ("best-of-2+repair+by-judge", 3, 0.7),
        ("vote-of-2+by-votes", 1, 0.5 + 0.9 / 4),
        ("vote-of-2+repair+by-votes", 3, 1 + 0.4 / 4),
        ("vote-of-2+by-alike", 1, 0.75 + 0.9 / 4),
    ):
        chosen, scores = parse_text(name).choose(row)
        assert (chosen.tolist(), scores.tolist()) == ([index], [pytest.approx(score)]), name


def test_a_missing_score_ranks_last_and_is_kept_as_missing() -> None:
    chosen, _scores = parse_text("best-of-2+by-judge").choose(scored([[math.nan, 0.1, 0, 0]]))
    assert chosen.tolist() == [1]
    assert np.isnan(parse_text("plain+by-judge").choose(scored([[math.nan, 0.1, 0, 0]]))[1][0])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("plain+by-votes", "vote-of-4"),
        ("plain+by-magic", "no part"),
        ("best-of-2+by-judge+by-mean", "one score"),
    ],
)
def test_what_means_nothing_is_refused(name: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_text(name)


def test_scores_multiply_the_ways_to_refine(tmp_path: Path) -> None:
    result = plan_run(
        job("casenotes"),
        RunOptions(modality=TextOptions(scores=("own", "votes")), refine=("plain", "vote-of-4")),
    ).refine
    assert result == ("plain", "vote-of-4", "vote-of-4+by-votes")
    with pytest.raises(OptionError, match="no score"):
        scored_by("plain", "sole")
    with pytest.raises(OptionError, match="takes no --scores"):
        plan_run(job("digits"), RunOptions(modality=TextOptions(scores=("mean",))))
    with pytest.raises(OptionError, match="no --dedupe"):
        plan_run(job("support"), RunOptions(modality=TextOptions(dedupe=True), data=Path("x")))
    with pytest.raises(OptionError, match="own,alike"):
        run(job("casenotes"), tmp_path / "run", RunOptions(modality=TextOptions(embed="letters")))
    with pytest.raises(OptionError, match="may be a score"):
        plan_run(job("casenotes"), RunOptions(modality=TextOptions(judge="openai:m@http://127.0.0.1:1/v1")))


def test_masked_texts_are_a_block_of_their_own() -> None:
    base = pool([[True] * 4], [[1, 2, 1, 2]], [[0.2, 0.3, 0.4, 0.9]])
    four = TextPool(base.meanings, base.alone, base.fit, base.copies, base.opinion, blocks=4)
    assert parse_text("plain+masked").choose(four)[0].tolist() == [2]
    assert parse_text("plain+repair+masked").choose(four)[0].tolist() == [3]


# A judge with a rubric


def digits(*shares: tuple[str, float]) -> Completion:
    return Completion("5", alternatives=(tuple((digit, math.log(share)) for digit, share in shares),))


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (Completion("9"), 1.0),
        (Completion("0"), 0.0),
        (Completion("I say 3."), 3 / 9),
        (Completion("85%"), 0.85),
        (Completion("4/5"), 0.8),
        (Completion("12"), 1.0),
        (Completion(""), math.nan),
        (Completion("fine"), math.nan),
        (digits(("9", 0.5), ("0", 0.5)), 0.5),
        (digits(("9", 0.3), ("good", 0.7)), 1.0),
        (Completion("x 3", alternatives=((("x", -1.0), ("9", -2.0)), (("3", -0.1),))), 3 / 9),
    ],
)
def test_how_a_judges_answer_is_read(answer: Completion, score: float) -> None:
    assert score_of(answer) == pytest.approx(score, nan_ok=True)


class Weighing(Fake):
    """A server that says 9 or 0 with log-probabilities of both."""

    def choice(self, index: int, text: str, body: dict) -> dict:
        result = super().choice(index, text, body)
        if result["logprobs"] and body.get("top_logprobs"):
            other = [{"token": "9", "logprob": math.log(0.75)}, {"token": "0", "logprob": math.log(0.25)}]
            result["logprobs"]["content"] = [{"token": "9", "logprob": math.log(0.75), "top_logprobs": other}]
        return result


def test_a_judge_is_asked_once_and_weighs_what_it_might_have_said(tmp_path: Path) -> None:
    with serving(lambda prompt, seed: "9", kind=Weighing) as fake:
        judge = RubricJudge(ServedModel(fake.name(), tmp_path / "a"), "It must rhyme.")
        first = judge(["a poem"] * 2, ["moon", "moon"])
        again = RubricJudge(ServedModel(fake.name(), tmp_path / "a"), "It must rhyme.")(["a poem"], ["moon"])
        body = fake.bodies[0]
        assert len(fake.bodies) == 1 and "It must rhyme." in body["messages"][1]["content"]
    assert body["top_logprobs"] == 20 and body["logprobs"] is True
    assert first == again * 2 == [pytest.approx(0.75)] * 2


@pytest.mark.parametrize("refused", [("top_logprobs",), ("logprobs",)])
def test_a_server_without_alternatives_is_read_as_it_speaks(refused: tuple[str, ...]) -> None:
    with serving(lambda prompt, seed: "6", refused=refused) as fake:
        judge = RubricJudge(ServedModel(fake.name(), None))
        assert judge(["a", "b"], ["x", "y"]) == [pytest.approx(6 / 9)] * 2


def test_a_run_ranked_by_a_judge_by_votes_and_by_likeness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge sees most wrong notes, so it releases more than the writer's confidence, which sees nothing."""
    monkeypatch.setenv("TOLERATE_CACHE", str(tmp_path / "memory"))
    task = CaseNotes()

    def oracle(prompt: str, seed: int) -> str:
        if "Rubric:" not in prompt:
            return scribe(prompt, seed)
        request, text = prompt.split("Asked for:\n")[1].removesuffix("\n\nDigit:").split("\n\nText:\n")
        impression = request.rsplit("; ", 1)[1]
        return "9" if impression in text else "1"

    rubric = tmp_path / "rubric.txt"
    rubric.write_text("The impression is the record's.")
    with serving(oracle) as fake:
        options = RunOptions(
            models=(fake.name(),),
            refine=("plain", "vote-of-3"),
            modality=TextOptions(
                scores=("mean", "votes", "alike", "judge"), judge=fake.name("in=1+out=1"), rubric=rubric
            ),
            labels=150,
            proof=40,
            tolerance=0.05,
            workers=0,
        )
        monkeypatch.setattr("tolerate.jobs.texts.drafts.scores.MAX_EMBEDDING_TEXTS", 300)
        monkeypatch.setattr("tolerate.jobs.texts.workshop.SEEDED_TEXTS", 100)
        summary = run(job("casenotes"), tmp_path / "run", options).to_json()
    result = {row["refine"]: row for row in summary["strategies"]}
    assert list(result) == [
        *("plain+by-mean", "plain+by-judge", "vote-of-3+by-mean", "vote-of-3+by-votes"),
        *("vote-of-3+by-alike", "vote-of-3+by-judge"),
    ]
    place = summary["job"]["tolerances"].index(0.05)
    share = {name: row["points"][place]["coverage"] for name, row in result.items()}
    assert share["plain+by-judge"] > 0.8 > share["plain+by-mean"]
    assert (
        result["plain+by-judge"]["calibration"]["items"] == 150
        and "calibration" not in result["plain+by-mean"]
    )
    assert result["plain+by-judge"]["compute_seconds"] > result["plain+by-mean"]["compute_seconds"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert 'id="scores"' in page and 'id="calibration"' in page and "评分可信吗" in page
    assert task.rubric  # what goes where the user gives no rubric


def test_rubrics_that_cannot_be_used(tmp_path: Path) -> None:
    for empty in ("", "  \n"):
        (tmp_path / "r.txt").write_text(empty)
        with pytest.raises(DataError, match="empty"):
            run(
                job("casenotes"),
                tmp_path / "run",
                RunOptions(
                    modality=TextOptions(
                        rubric=tmp_path / "r.txt", judge="openai:m@http://127.0.0.1:1/v1", scores=("judge",)
                    )
                ),
            )
    with pytest.raises(OptionError, match="--judge"):
        run(job("casenotes"), tmp_path / "other", RunOptions(modality=TextOptions(scores=("judge",))))


# Embeddings


def test_letters_tell_rewording_from_another_thing() -> None:
    rng = np.random.default_rng(0)
    words = [
        "radius",
        "texture",
        "area",
        "high",
        "low",
        "normal",
        "benign",
        "malignant",
        "worst",
        "value",
        "is",
        "at",
        "of",
        "the",
    ]
    texts = [" ".join(rng.choice(words, 8)) for _ in range(600)]
    for embed in (letter_embedder(), letter_embedder(texts)):
        result = embed(["the radius is high", "radius: high", "the texture is low", ""])
        assert np.allclose(np.linalg.norm(result[:3], axis=1), 1)
        assert result[0] @ result[1] > result[0] @ result[2]


def test_embeddings_of_a_server_are_asked_once(tmp_path: Path) -> None:
    class Vectors(Fake):
        def answer(self, body: dict) -> dict:
            values = [
                {"index": index, "embedding": [len(row), 1.0]} for index, row in enumerate(body["input"])
            ]
            return {"object": "list", "data": values[::-1], "model": body["model"]}

    with serving(kind=Vectors) as fake:
        for _ in range(2):
            result = embedder(fake.name(), cache=tmp_path / "a")(["aa", "b", "aa"])
        assert len(fake.bodies) == 1 and fake.bodies[0]["input"] == ["aa", "b"]
        assert fake.headers[0]["path"].endswith("/embeddings")
    assert np.allclose(result[0], result[2]) and result[0] @ result[1] == pytest.approx(3 / math.sqrt(10))


def test_a_server_that_gives_no_embeddings_is_named(tmp_path: Path) -> None:
    with serving(faults=[text(b"{}")]) as fake, pytest.raises(RunError, match="no embeddings"):
        embedder(fake.name("tries=1"), cache=None)(["a"])


def test_an_encoder_from_a_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog"])
    )
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    result = embedder(f"hf:{tmp_path}")(["cat", "cat dog dog", "cat"])
    assert result.shape == (3, 8) and np.allclose(result[0], result[2], atol=1e-6)  # padding changes nothing
    with pytest.raises(OptionError, match="cannot be opened"):
        embedder(f"hf:{tmp_path / 'none'}")


@pytest.mark.parametrize("name", ["word2vec", "openai:broken"])
def test_an_embedder_that_means_nothing(name: str) -> None:
    with pytest.raises(OptionError):
        checked_embedder(name)


# The way back


def test_what_a_record_recovers() -> None:
    task = CaseNotes()
    request = int(task.requests(1, 0)[0])
    record = task.model_input(request)
    parts = record.split("; ")
    assert (
        task.record_overlap(record, request) == 1
        and task.record_overlap("; ".join(parts[::-1]), request) == 1
    )
    assert task.record_overlap("; ".join(parts[1:]), request) == pytest.approx(3 / 4)
    assert task.record_overlap("; ".join([*parts, "mood 3 high"]), request) == pytest.approx(4 / 5)
    assert task.record_overlap("", request) == 0


def test_names_are_taken_out_before_the_way_back(shared: Path) -> None:
    task = Restaurants(shared / "raw" / "e2e_nlg")
    request = int(task.requests(1, 0)[0])
    assert "XNAME" in task.model_text(task.slots(request)["name"] + " is a pub.", request)


def test_a_run_by_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A way back that learned next to nothing still works through the whole path; its cost is counted."""
    monkeypatch.setenv("TOLERATE_CACHE", str(tmp_path / "memory"))
    monkeypatch.setattr("tolerate.jobs.texts.drafts.scores.MAX_PAIRS", 60)
    with serving(scribe) as fake:
        options = RunOptions(
            models=(fake.name(),),
            refine=("plain",),
            modality=TextOptions(scores=("own", "round-trip")),
            labels=24,
            proof=8,
            steps=3,
            workers=0,
        )
        summary = run(job("casenotes"), tmp_path / "run", options).to_json()
    own, back = summary["strategies"]
    assert back["refine"] == "plain+by-round-trip" and back["compute_seconds"] > own["compute_seconds"]
    assert (tmp_path / "run" / "back" / "model.safetensors").exists()
