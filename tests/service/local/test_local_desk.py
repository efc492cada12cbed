"""The desk at one's own machine: links that open once, verdicts on the disk before the page moves on, people apart."""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sitting import Desk, Sitter, png
from tolerate.data import tables
from tolerate.errors import OptionError, RunError
from tolerate.runs.audit_session import AuditedBatch, BatchAuditOptions, audit_at_terminal
from tolerate.runs.people import PeopleVerdicts, Question
from tolerate.service.local import LocalDeskOptions, ask_at_desk, audit_at_desk
from tolerate.stats.audit.audit import Audit
from tolerate.store import connect

PNG = png()
HOSTILE = "<script>alert(1)</script>\u202e"
QUESTIONS = [
    Question("a seven", media=PNG),
    Question("an ode", "roses are red"),
    Question(HOSTILE, HOSTILE),
]


def questions(
    folder: Path, items: list[Question] = QUESTIONS
) -> Callable[[LocalDeskOptions], PeopleVerdicts]:
    return lambda options: ask_at_desk(items, folder, options)


def batch_of(folder: Path, items: int = 300, **options: Any) -> AuditedBatch:
    path = folder / "batch.csv"
    if not path.exists():
        path.write_text("question,answer\n" + "".join(f"q {i},a {i}\n" for i in range(items)))
    return AuditedBatch(path, BatchAuditOptions(**{"tolerance": 0.2, **options}))


def audit_of(folder: Path) -> Audit:
    return Audit.from_json(json.loads((folder / "batch.csv.audit.json").read_text()))


def judge_all(person: Sitter, grade: Callable[[Sitter], str] = lambda person: "f") -> None:
    while person.slot:
        person.give(grade(person))


# The questions of a run


def test_a_person_judges_every_item_and_can_take_one_back(tmp_path: Path) -> None:
    desk = Desk(questions(tmp_path))
    person = desk.person()
    assert person.request == "a seven" and "/desk/media/" in person.page and person.place == "verdict 1 of 3"
    person.ask(re.search(r'src="(/desk/media/\d+)"', person.page)[1])
    assert person.body == PNG and person.headers["content-type"] == "image/png"
    person.next().give("f", note="neat")
    assert (person.request, person.text) == ("an ode", "roses are red")
    person.give("f").press("undo")
    assert person.request == "an ode" and person.place == "verdict 2 of 3"
    person.give("w")
    assert "<script>" not in person.page.replace('<script src="/desk/static', "") and "U+202E" in person.page
    person.give("f")
    assert person.done and person.press("undo").slot  # the last one too, until the person finishes
    person.give("f").press("finish")
    assert "You may close this page" in person.page
    judged = desk.end()
    assert judged.losses == [0.0, 1.0, 0.0]
    assert judged.by == "a person, who judged 3 items at the review desk"
    again = Desk(questions(tmp_path))
    assert again.end() == judged and again.links.empty()  # nothing is asked twice


def test_other_items_are_refused(tmp_path: Path) -> None:
    Desk(questions(tmp_path)).person().give("f")
    time.sleep(0)
    with pytest.raises(RunError, match="go on there"):
        Desk(questions(tmp_path)).link()
    folder = tmp_path / "other"
    folder.mkdir()
    desk = Desk(questions(folder))
    person = desk.person()
    judge_all(person)
    person.press("finish")
    desk.end()
    with pytest.raises(RunError, match="of other items"):
        Desk(questions(folder, QUESTIONS[:2])).end()


def test_several_people_share_the_items(tmp_path: Path) -> None:
    many = [Question("a word", f"word {i}") for i in range(6)]
    desk = Desk(questions(tmp_path, many), names=("ann", "bob"))
    ann, bob = desk.person(), desk.person()
    assert ann.text != bob.text
    ann.give("w")
    bob.give("f")
    judge_all(ann)
    assert not ann.done and "Others still have items in hand" in ann.page
    judge_all(bob)
    assert bob.done
    ann.next().press("finish")
    judged = desk.end()
    assert sum(judged.losses) == 1 and judged.by.startswith("2 people, who judged 6 items")


def test_people_who_judge_the_same_items_are_blind_and_a_third_look_decides(tmp_path: Path) -> None:
    many = [Question("a word", f"word {i}") for i in range(4)]
    desk = Desk(questions(tmp_path, many), names=("ann", "bob"), reviewers_per_item=2)
    ann, bob = desk.person(), desk.person()
    judge_all(ann, lambda person: "w" if person.text == "word 1" else "f")
    judge_all(bob)
    assert "Others still have items in hand" in bob.page
    ann.next()
    assert "The reviewers disagree" in ann.page and ann.text == "word 1"
    ann.give("w")
    assert ann.done
    ann.press("finish")
    judged = desk.end()
    assert judged.losses == [0.0, 1.0, 0.0, 0.0]
    assert "on 1 they differed" in judged.by and "alpha 0.00" in judged.by
    with pytest.raises(OptionError, match="name them"):
        ask_at_desk(many, tmp_path / "x", LocalDeskOptions(reviewers_per_item=2))


# Who comes in


def test_a_link_opens_once_and_a_new_one_goes_to_the_terminal(tmp_path: Path) -> None:
    desk = Desk(questions(tmp_path))
    link = desk.link()
    person = Sitter(link)
    cookie = person.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "tolerate_session" not in cookie
    person.ask(link.removeprefix(person.home))
    assert person.request == "a seven"  # whoever came in by it goes on
    stranger = Sitter(link)
    assert stranger.status == 403 and "printed in the terminal" in stranger.page
    assert Sitter(desk.link()).next().request == "a seven"
    for path in ("review", "enter/guess", "queue", "people", "media/1", "labels.csv?job=run", "login"):
        stranger.ask(f"/desk/{path}")
        assert stranger.status == 403 and "Open the link" in stranger.page, path
    assert desk.links.empty()


def test_forms_from_elsewhere_are_refused(tmp_path: Path) -> None:
    person = Desk(questions(tmp_path)).person()
    slot = person.slot
    for headers in (
        {"origin": "http://evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"host": "evil.example"},
    ):
        page = person.next().page
        person.ask("/desk/verdict", {"slot": slot, "grade": "w"}, **headers)
        assert person.status in (403, 421)
        person.page = page
    person.ask("/desk/verdict", {"csrf": "guess", "slot": slot, "grade": "w"})
    assert person.status == 403
    for form in ({"slot": "99", "grade": "w"}, {"slot": "x", "grade": "w"}, {"slot": slot, "grade": "z"}):
        person.next().ask("/desk/verdict", form)
    assert person.next().place == "verdict 1 of 3"


def test_one_more_reviewer_is_invited_at_the_desk(tmp_path: Path) -> None:
    desk = Desk(questions(tmp_path))
    first = desk.person()
    first.ask("/desk/people")
    first.press("invite", name="ann")
    link = re.search(r"http://[\w.:/-]+", re.search(r"<strong>ann: ([^<]*)", first.page)[1])[0]
    ann = Sitter(link).next()
    assert ann.request == "an ode" and first.next().request == "a seven"
    ann.ask("/desk/people")
    assert ann.status == 403


# An audit


def test_an_audit_asks_in_its_own_order_and_stops(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    order = batch.audit.upcoming(300)
    desk = Desk(lambda options: audit_at_desk(batch, ["answer"], options))
    person, judged = desk.person(), []
    while person.slot:
        judged.append(int(person.text.removeprefix("a ")))
        person.give("f")
        assert list(audit_of(tmp_path).losses) == judged  # on the disk before the page moved on
    assert judged == order[: len(judged)] and person.done and "may be released" in person.page
    assert len(judged) == batch.audit.labels < 20
    person.press("undo").give("w")
    assert audit_of(tmp_path).said(judged[-1]) == 1.0 and not person.done
    judge_all(person)
    person.press("finish")
    desk.end()
    certificate = audit_of(tmp_path).certificate
    assert certificate.proven and certificate.labels > len(judged)
    Desk(lambda options: audit_at_desk(batch_of(tmp_path), [], options)).end()  # it is done


def test_columns_are_shown_for_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(PNG)
    (tmp_path / "out.png").write_bytes(PNG)
    (tmp_path / "b.csv").write_text(
        "asked,file,note\n"
        'seven,pictures/1.png,x\ntwo,missing.png,x\nout,../out.png,x\nevil,"data:image/svg+xml,<svg/>",x\n'
        f'inline,"data:image/png;base64,{b64encode(PNG).decode()}",x\n'
    )
    batch = AuditedBatch(tmp_path / "b.csv", BatchAuditOptions(0.5, 0.5))
    assert batch.question(0, ["asked", "file"]) == Question("seven", "", file="pictures/1.png")
    assert batch.question(1) == Question("two", "file: missing.png\nnote: x")
    assert batch.question(3, ["file"]) == Question("", "data:image/svg+xml,<svg/>")
    assert batch.question(4) == Question("inline", "x", PNG)
    tables.write(tmp_path / "b.parquet", {"content": [PNG, b"no picture"], "asked": ["a", "b"]})
    batch = AuditedBatch(tmp_path / "b.parquet", BatchAuditOptions(0.5, 0.5))
    assert batch.question(0) == Question("a", "", PNG)
    assert "--page shows them" in batch.text_of(0, ["content"])


def test_pictures_beside_a_batch_are_shown_and_nothing_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "1.png").write_bytes(PNG)
    (tmp_path / "out.png").write_bytes(PNG)
    (folder / "fake.png").write_bytes(b"<script>")
    (folder / "batch.csv").write_text("file\npictures/1.png\n../out.png\nfake.png\n")
    desk = Desk(lambda options: audit_at_desk(batch_of(folder, tolerance=0.01, confidence=0.99), [], options))
    person, status_by_file = desk.person(), {}
    while person.slot:
        page = person.page
        with contextlib.closing(connect(str(folder / "batch.csv.audit.db"), read_only=True)) as db:
            item = db.first(
                "SELECT i.media FROM items i JOIN slots s ON s.ticket = i.ticket WHERE s.id = ?",
                int(person.slot),
            )
        person.ask(f"/desk/media/{person.slot}")
        status_by_file[item[0]] = person.status
        person.page = page
        person.give("f")
    assert status_by_file == {"file:pictures/1.png": 200, "file:../out.png": 404, "file:fake.png": 404}


def test_players_may_ask_for_parts(tmp_path: Path) -> None:
    sound = b"RIFF\0\0\0\0WAVE" + bytes(range(200))
    person = Desk(questions(tmp_path, [Question("a tone", media=sound)])).person()
    assert "<audio" in person.page and 'class="text answer"' not in person.page
    media = f"/desk/media/{person.slot}"
    for byte_range, status, body in (
        ("bytes=0-", 206, sound),
        ("bytes=10-19", 206, sound[10:20]),
        ("bytes=-5", 206, sound[-5:]),
        ("bytes=9999-", 416, b""),
        ("items=1-2", 200, sound),
    ):
        person.ask(media, range=byte_range)
        assert (person.status, person.body) == (status, body), byte_range


def test_two_people_at_one_browser(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, second=0.4)
    desk = Desk(lambda options: audit_at_desk(batch, ["answer"], options))
    person = desk.person()
    first = person.text
    person.give("w")
    person.press("undo")
    assert person.text == first
    judge_all(person)
    assert "has not seen the verdicts" in person.page and not person.done
    person.press("seat")
    while person.slot:
        assert "second verdict" in person.place and "proven after" not in person.page
        person.give("f")
    assert person.done
    person.press("finish")
    desk.end()
    audit = audit_of(tmp_path)
    assert (
        audit.certificate.proven
        and audit.agreement.items > 3
        and audit.agreement.same == audit.agreement.items
    )


def test_the_second_person_at_a_browser_of_their_own_may_send_it_back(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, second=0.4)
    desk = Desk(lambda options: audit_at_desk(batch, ["answer"], options))
    first, second = desk.person(), desk.person()
    assert "Nothing waits" in second.page or second.slot == ""
    judge_all(first)
    labels = batch.audit.labels
    second.next()
    assert second.slot and "second verdict 1" in second.place
    second.give("w")
    assert first.next().slot  # one more wrong: the first goes on
    judge_all(first)
    judge_all(second.next())
    first.next()
    assert first.done
    first.press("finish")
    desk.end()
    audit = audit_of(tmp_path)
    assert audit.labels > labels and audit.agreement.missed == 1 and audit.certificate.proven


def test_two_named_people_read_ahead_and_each_other(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, second=1.0)
    desk = Desk(lambda options: audit_at_desk(batch, ["answer"], options), names=("ann", "bob"))
    ann, bob = desk.person(), desk.person()
    while not ann.next().done:
        for person in (ann, bob):
            if person.next().slot:
                person.give("f")
    ann.press("finish")
    desk.end()
    audit = audit_of(tmp_path)
    assert audit.certificate.proven and audit.agreement.items == audit.labels
    assert list(audit.losses) == Audit(300, 0.2, seed=0).upcoming(audit.labels)  # the order is kept
    with contextlib.closing(connect(str(tmp_path / "batch.csv.audit.db"), read_only=True)) as db:
        both = db.all("SELECT ticket FROM verdicts GROUP BY ticket, reviewer HAVING count(*) > 1")
    assert both == []  # nobody read one item twice


def test_what_was_said_at_the_terminal_counts_at_the_desk_and_back(tmp_path: Path) -> None:
    pressed = iter("fffq")
    audit_at_terminal(batch_of(tmp_path), ["answer"], lambda: next(pressed), lambda text: None)
    desk = Desk(lambda options: audit_at_desk(batch_of(tmp_path), ["answer"], options))
    person = desk.person()
    assert "item 4 of 300" in person.place
    person.give("f")
    labels = audit_of(tmp_path).labels
    assert labels == 4


def test_verdicts_without_their_audit_are_not_taken_for_another(tmp_path: Path) -> None:
    desk = Desk(lambda options: audit_at_desk(batch_of(tmp_path), ["answer"], options))
    person = desk.person()
    judge_all(person)
    person.press("finish")
    desk.end()
    (tmp_path / "batch.csv.audit.json").unlink()
    with pytest.raises(RunError, match="is missing"):
        audit_at_desk(batch_of(tmp_path), [])


# Killed


class Command:
    """`tolerate audit --page`, as a process."""

    def __init__(self, *words: object, program: tuple[str, str] = ("-m", "tolerate")) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *program, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TOLERATE_LANG": "en", "OMP_NUM_THREADS": "1"},
        )

    def link(self) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            match = re.search(r"http://\S+", line)
            if match:
                return match[0]
        raise AssertionError("no link came")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start_command(*words: object) -> Command:
        started.append(Command(*words))
        return started[-1]

    yield start_command
    for command in started:
        if command.process.poll() is None:
            command.kill()


def test_a_killed_desk_goes_on_at_the_page_that_stands_open(tmp_path: Path, start: Any) -> None:
    batch_of(tmp_path)
    words = ("audit", tmp_path / "batch.csv", "-t", "20%", "--page", "--show", "answer", "--second", "40%")
    command = start(*words)
    person = Sitter(command.link()).next()
    for _ in range(4):
        person.give("f")
    text = person.text
    command.kill()
    assert audit_of(tmp_path).labels == 4
    command = start(*words)
    command.link()
    assert person.next().text == text  # the same port, the same session
    judge_all(person)
    person.press("seat")
    judge_all(person)
    person.press("finish")
    out, _ = command.process.communicate(timeout=30)
    assert command.process.returncode == 0 and "may be released" in out
    done = subprocess.run(
        [sys.executable, "-m", "tolerate", *map(str, words), "--json"], capture_output=True, text=True
    )
    assert json.loads(done.stdout)["scope"] == "all"


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.law)])
def test_killed_while_a_person_presses_keys_nothing_told_is_lost_or_doubled(
    tmp_path: Path, start: Any, kills: int
) -> None:
    """A verdict whose page came back is kept, once; one that was under way may be kept or not."""
    batch_of(tmp_path, items=20_000)
    words = ("audit", tmp_path / "batch.csv", "-t", "0.2%", "--page", "--show", "answer")
    rng, verdicts = random.Random(1), {}
    command = start(*words)
    person = Sitter(command.link()).next()
    for _ in range(kills):
        end = threading.Timer(0.3 + rng.random() / 2, command.process.send_signal, (signal.SIGKILL,))
        end.start()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                text, grade = person.text, "fw"[rng.random() < 0.01]
                person.give(grade)
                verdicts[text] = float(grade == "w")
                if rng.random() < 0.1:
                    person.press("undo")
                    assert person.text == text
                    del verdicts[text]
        end.join()
        command.kill()
        command = start(*words)
        command.link()
        person.next()
    with contextlib.closing(connect(str(tmp_path / "batch.csv.audit.db"), read_only=True)) as db:
        standing = db.all(
            "SELECT i.content, v.loss FROM verdicts v JOIN items i ON i.ticket = v.ticket"
            " WHERE v.taken_back IS NULL"
        )
    losses = dict(standing)
    assert len(losses) == len(standing) >= len(verdicts) > 0
    assert {text: losses.get(text) for text in verdicts} == verdicts
    audit = audit_of(tmp_path)
    assert {f"a {item}": loss for item, loss in audit.losses.items()}.items() >= losses.items()
    assert list(audit.losses) == Audit(20_000, 0.002, seed=0).upcoming(audit.labels)


BASE_ALONE = """
import sys
for name in ("aiohttp", "httptools", "uvloop", "prometheus_client", "psycopg", "torch"):
    sys.modules[name] = None
from tolerate.cli import main
main()
"""


def test_the_base_install_has_the_desk(tmp_path: Path) -> None:
    """With nothing of the extras: uvicorn with h11 serves it."""
    batch_of(tmp_path)
    words = ["audit", str(tmp_path / "batch.csv"), "-t", "20%", "--page", "--json"]
    command = Command(*words, program=("-c", BASE_ALONE))
    try:
        person = Sitter(command.link()).next()
        assert person.headers["x-content-type-options"] == "nosniff"
        judge_all(person)
        person.press("finish")
        out, err = command.process.communicate(timeout=30)
        assert json.loads(out)["scope"] == "all" and err == ""
    finally:
        command.process.kill()


# In a browser


NEXT = (
    "slot => { const e = document.querySelector('[name=slot]'); "
    "return document.readyState === 'complete' && (!e || e.value !== slot); }"
)


def test_the_whole_flow_by_keyboard_in_both_languages(tmp_path: Path) -> None:
    sync = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from axe_playwright_python.sync_playwright import Axe

    batch = batch_of(tmp_path, items=40, tolerance=0.3, second=0.5)
    desk = Desk(lambda options: audit_at_desk(batch, [], options), guide="Be strict.")
    with sync.sync_playwright() as play:
        flags = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = play.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page()
        outside, faults, weights, serious = [], [], [], []
        link = desk.link()
        home = link.partition("/desk/")[0]
        page.on("request", lambda r: None if r.url.startswith((home, "data:")) else outside.append(r.url))
        page.on("response", lambda r: weights.append(int(r.headers.get("content-length", 0))))
        page.on("response", lambda r: faults.append(r.url) if r.status >= 400 else None)
        page.on("console", lambda console: faults.append(console.text) if console.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))

        def look() -> None:
            violations = Axe().run(page).response["violations"]
            serious.extend(
                violation["id"] for violation in violations if violation["impact"] in ("serious", "critical")
            )

        def fine() -> None:
            while page.query_selector("[name=slot]"):
                slot = page.input_value("[name=slot]")
                page.keyboard.press("f")
                page.wait_for_function(NEXT, arg=slot)

        page.goto(link)
        page.wait_for_url("**/desk/review")
        look()
        page.click("button[lang='zh-Hans']")
        page.wait_for_selector("text=抽签选出")
        page.keyboard.press("n")
        page.keyboard.type("half a thought f")
        page.wait_for_selector("#kept:text('已保存')")
        page.keyboard.press("Escape")
        for path in ("people", "queue", "me"):
            page.goto(f"{home}/desk/{path}")
            look()
        page.goto(f"{home}/desk/review")
        assert page.input_value("#note") == "half a thought f"
        fine()
        look()
        page.keyboard.press("s")
        page.wait_for_selector("[name=slot]", state="attached")
        fine()
        look()
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status]")
        look()
        assert (serious, outside, faults) == ([], [], [])
        assert max(weights) < 250_000
        browser.close()
    desk.end()
    assert audit_of(tmp_path).certificate.proven
