"""A short version of the law of streams: no token before the verdict, however a stream is broken."""

from pathlib import Path

from tests.support.kills import answer_before_commit
from tests.support.streams import fuzz, pass_on


def test_no_token_leaves_before_the_verdict(url: str, tmp_path: Path) -> None:
    wrong, decisions = fuzz(url, tmp_path, 1500, seed=1)
    assert wrong == [] and min(decisions["release"], decisions["review"], decisions["failed"]) > 100


def test_passing_chunks_on_is_caught(tmp_path: Path) -> None:
    """The broken twin that most gateways are: content first, verdict later."""
    assert fuzz(str(tmp_path / "t.db"), tmp_path, 100, seed=1, broken=pass_on)[0]


def test_answering_before_the_commit_is_caught(tmp_path: Path) -> None:
    assert fuzz(str(tmp_path / "t.db"), tmp_path, 100, seed=1, broken=answer_before_commit)[0]


def test_a_job_that_opted_out_is_marked_in_every_chunk(url: str, tmp_path: Path) -> None:
    wrong, decisions = fuzz(url, tmp_path, 300, seed=2, stream="not certified")
    assert wrong == [] and decisions.get("release", 0) == 0
