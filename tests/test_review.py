"""The review page: verdicts are on the disk before the page moves on, and strangers are kept out."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tolerate.errors import RunError
from tolerate.review import Question, Verdicts, review

QUESTIONS = [Question(b"\x89PNG", asked) for asked in ("7", "<script>alert(1)</script>", "3")]


class Browser:
    """What the page's script does."""

    def __init__(self, address: str) -> None:
        self.home, _, self.key = address.partition("?key=")

    def page(self, key: str | None = None) -> str:
        with urllib.request.urlopen(f"{self.home}?key={self.key if key is None else key}") as answer:
            return str(answer.read().decode())

    def ask(self, action: str, body: Any = None, key: str | None = None) -> dict[str, Any]:
        headers = {"X-Key": self.key if key is None else key}
        request = urllib.request.Request(
            self.home + action, json.dumps(body or {}).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read()))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Browser, threading.Thread, list[list[float]]]]:
    address: list[str] = []
    ready = threading.Event()
    losses: list[list[float]] = []

    def announce(text: str) -> None:
        address.append(text)
        ready.set()

    def work() -> None:
        losses.append(review(QUESTIONS, tmp_path / "reviews.jsonl", ready=announce))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield Browser(address[0]), thread, losses


def test_a_person_judges_every_item_and_can_take_one_back(desk: Any, tmp_path: Path) -> None:
    browser, thread, losses = desk
    assert browser.ask("state")["asked"] == "7"
    assert browser.ask("verdict", {"item": 0, "loss": 0})["item"] == 1
    assert browser.ask("verdict", {"item": 1, "loss": 0})["item"] == 2
    assert browser.ask("undo")["item"] == 1
    assert browser.ask("verdict", {"item": 1, "loss": 1})["done"] == 2
    assert browser.ask("verdict", {"item": 2, "loss": 0})["item"] is None
    browser.ask("finish")
    thread.join(10)
    assert losses == [[0.0, 1.0, 0.0]]
    kept = Verdicts(tmp_path / "reviews.jsonl", 3)
    assert [kept.losses[item] for item in range(3)] == [0.0, 1.0, 0.0]


def test_a_killed_review_continues(tmp_path: Path) -> None:
    before = Verdicts(tmp_path / "r.jsonl", 2)
    before.give(0, 1.0)
    after = Verdicts(tmp_path / "r.jsonl", 2)
    assert after.losses == {0: 1.0} and after.next == 1
    after.give(1, 0.0)
    assert review(QUESTIONS[:2], tmp_path / "r.jsonl", ready=pytest.fail) == [1.0, 0.0]


def test_strangers_and_nonsense_are_refused(desk: Any) -> None:
    browser, _, _ = desk
    for call in (lambda: browser.page(key="guess"), lambda: browser.ask("state", key="guess")):
        with pytest.raises(urllib.error.HTTPError) as error:
            call()
        assert error.value.code == 403
        error.value.close()
    for body in ({"item": 9, "loss": 0}, {"item": 0, "loss": 2}, {"item": 0}, {"item": "x", "loss": 0}):
        with pytest.raises(urllib.error.HTTPError) as error:
            browser.ask("verdict", body)
        assert error.value.code == 400
        error.value.close()
    assert browser.ask("state")["done"] == 0


def test_the_page_asks_nothing_of_the_network(desk: Any) -> None:
    browser, _, _ = desk
    page = browser.page()
    assert "http://" not in page and "https://" not in page and "default-src 'none'" in page


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("[0, 1]\n[5, 0]\n")
    with pytest.raises(RunError, match="damaged line"):
        Verdicts(tmp_path / "r.jsonl", 2)
