"""A second person on a share of an audit's items: drawn by lot, blind, the worse verdict counts, nothing is lost."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from tolerate.errors import DataError, OptionError
from tolerate.messages.certificates import certificate_text
from tolerate.runs.audit_session import AuditedBatch, BatchAuditOptions, ReviewerTurns, audit_at_terminal
from tolerate.stats.audit.audit import Audit
from tolerate.stats.audit.draws import draw_order, draw_second_items
from tolerate.stats.audit.second_reader import Agreement, agreement

Array = np.ndarray


def finish(audit: Audit, first: Array, second: Array) -> Audit:
    """Two people label until the audit closes and nobody is waited for."""
    while audit.open or audit.waiting:
        while audit.open:
            item = audit.next()
            audit.record(item, first[item])
        for item in audit.waiting:
            audit.record(item, second[item], second=True)
        if audit.hopeless:
            break
    return audit


def batch_file(folder: Path, items: int = 300) -> Path:
    path = folder / "batch.csv"
    path.write_text("text,one,two\n" + "".join(f"text {i},0,{int(i == 7)}\n" for i in range(items)))
    return path


# The statistics


def test_the_lot_is_kept_by_the_seed_and_apart_from_the_order() -> None:
    again = draw_second_items(1000, 0.1, seed=3)
    assert len(again) == 100 == len(set(again.tolist()))
    assert again.tolist() == draw_second_items(1000, 0.1, seed=3).tolist()
    shared = [len(set(draw_second_items(1000, 0.1, s)) & set(draw_order(1000, s)[:100])) for s in range(200)]
    assert abs(np.mean(shared) - 10) < 4 * 2.85 / np.sqrt(200)  # hypergeometric: mean 10, deviation 2.85


def test_nothing_is_certified_before_the_second_person_has_read_their_share() -> None:
    audit = Audit(1000, 0.05, seed=1, second=0.2)
    while audit.open:
        audit.record(audit.next(), 0.0)
    waiting = audit.waiting
    assert waiting and not audit.proven and not audit.certificate.proven
    assert "still wait for a second person" in audit.certificate.advice[0]
    for item in waiting:
        audit.record(item, 0.0, second=True)
    assert audit.proven and audit.waiting == ()
    assert f"a second person read {len(waiting)} of the labelled items" in audit.certificate.losses_by


def test_the_worse_verdict_counts_and_the_audit_goes_on() -> None:
    audit = Audit(1000, 0.05, seed=1, second=0.2)
    while audit.open:
        audit.record(audit.next(), 0.0)
    labels, item = audit.labels, audit.waiting[0]
    audit.record(item, 1.0, second=True)
    assert audit.losses[item] == 1.0 and audit.open and audit.said(item) == 0.0
    audit.correct(item, 0.0, second=True)  # the second person mistyped
    assert audit.losses[item] == 0.0 and not audit.open
    audit.correct(item, 1.0)
    audit.correct(item, 0.0)  # the first one too; the second person's verdict stays as it is
    assert audit.losses[item] == 0.0 and audit.labels == labels


def test_the_first_persons_correction_does_not_wipe_out_the_second() -> None:
    audit = Audit(50, 0.2, seed=1, second=1.0)
    item = audit.next()
    audit.record(item, 1.0)
    audit.record(item, 1.0, second=True)
    audit.correct(item, 0.0)
    assert audit.losses[item] == 1.0


def test_a_second_verdict_needs_its_lot() -> None:
    audit = Audit(1000, 0.05, seed=1, second=0.1)
    item = audit.next()
    with pytest.raises(DataError, match="not drawn for the second person"):
        audit.record(item, 0.0, second=True)
    with pytest.raises(OptionError, match="second is 0"):
        Audit(1000, 0.05, seed=1, second=0.0)


def test_it_survives_json() -> None:
    audit, rng = Audit(400, 0.1, seed=5, second=0.3), np.random.default_rng(0)
    done = finish(audit, (rng.random(400) < 0.02) * 1.0, (rng.random(400) < 0.05) * 1.0)
    back = Audit.from_json(json.loads(json.dumps(done.to_json())))
    assert back.certificate == done.certificate and back.agreement == done.agreement


def test_kappa() -> None:
    assert Agreement(10, 0, 0, 10).kappa == 1.0
    assert Agreement(5, 5, 5, 5).kappa == 0.0
    assert Agreement(10, 0, 0, 0).kappa is None and Agreement(0, 0, 0, 0).kappa is None
    assert agreement([(0, 1), (1, 0), (0.5, 0.5)]) == Agreement(0, 1, 1, 1)
    assert "(kappa 0.64)" in Agreement(18, 1, 0, 1).sentence()
    assert "no kappa" in Agreement(20, 0, 0, 0).sentence()
    assert "none of the labelled items" in Agreement(0, 0, 0, 0).sentence()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_certificate_says_how_often_they_agreed(lang: str) -> None:
    first = (np.arange(400) % 40 == 0) * 1.0
    second = (np.arange(400) % 20 == 0) * 1.0
    cert = finish(Audit(400, 0.2, seed=2, second=0.5), first, second).certificate
    text = certificate_text(cert, lang)
    assert cert.proven and "kappa" in text and ("judged" not in text)
    assert ("the first misses at most" if lang == "en" else "首次漏判的比例至多") in text


# The promise: for the worse of the verdicts on the drawn items, and so for the first person's alone.


def chance_of_a_false_certificate(share: float | None, runs: int, twin: bool = False) -> float:
    """The first person sees half of the errors; the worse of two verdicts is wrong for 11% of a batch, tolerated 10%.

    twin: the second person reads only what the first called wrong, and the better verdict counts.
    """
    items, false = 100, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        truth = (rng.permutation(items) < 14).astype(float)
        again = np.zeros(items, bool)
        again[draw_second_items(items, share or 1e-9, seed)] = share is not None
        first = truth * (rng.random(items) < 0.7)
        counted = np.where(again, np.maximum(first, truth), first)
        if twin:
            forgiven = first * (rng.random(items) < 0.6)
            false += finish(Audit(items, 0.1, 0.8, seed=seed), forgiven, truth).proven and first.mean() > 0.1
        else:
            audit = finish(Audit(items, 0.1, 0.8, seed=seed, second=share), first, truth)
            false += audit.proven and counted.mean() > 0.1
    return false / runs


def test_the_promise_holds_with_a_second_person() -> None:
    runs = 200
    most = float(binom.ppf(1 - 1e-4, runs, 0.2)) / runs
    assert chance_of_a_false_certificate(0.5, runs) <= most


def test_the_twin_that_forgives_only_what_looks_wrong_is_caught() -> None:
    """Looking again only at what was called wrong, and letting the better verdict count."""
    bad = [chance_of_a_false_certificate(None, 200, twin=True)]
    honest = chance_of_a_false_certificate(None, 200)
    assert bad[0] > honest + 0.1


# At the terminal


class Terminal:
    """A person at a pseudo-terminal."""

    def __init__(self, *words: object) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-m", "tolerate", *map(str, words)]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TOLERATE_LANG": "en"}
        )
        os.close(slave)
        self.text = ""

    def until(self, expected: str, seconds: float = 60) -> str:
        """Read until it says this; the text since the last call."""
        end = time.monotonic() + seconds
        while expected not in self.text:
            assert time.monotonic() < end, self.text[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    more = os.read(self.master, 65536)
                except OSError:  # the other side has hung up
                    break
                self.text += more.decode("utf-8", "replace").replace("\r", "")
            elif self.process.poll() is not None:
                break
        head, match, self.text = self.text.partition(expected)
        assert match, head[-2000:]
        return head

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def sit() -> Iterator[Callable[..., Terminal]]:
    """Opens terminals, one after the other; none is left running."""
    terminals: list[Terminal] = []

    def open_terminal(*words: object) -> Terminal:
        if terminals:
            terminals.pop().kill()
        terminals.append(Terminal(*words))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.kill()


def test_two_people_at_a_terminal_one_key_each_through_a_kill(tmp_path: Path, sit: Any) -> None:
    path = batch_file(tmp_path)
    words = ("audit", path, "-t", "20%", "--second", "40%", "--show", "text")
    terminal = sit(*words)
    for _ in range(5):
        terminal.until("[q] stop for now")
        terminal.press("f")
    terminal.until("item 6 of 300")
    terminal = sit(*words)  # the one before is killed
    terminal.until("item 6 of 300")
    audit = Audit.from_json(json.loads((tmp_path / "batch.csv.audit.json").read_text()))
    while audit.open:
        terminal.until("[q] stop for now")
        terminal.press("f")
        audit.record(audit.next(), 0.0)
    waiting = audit.waiting
    assert f"reads {len(waiting)} of the items again" in terminal.until("[s] we have changed seats")
    terminal.press("f")  # no key of this moment
    terminal.press("s")
    terminal.until(f"second verdict 1 of {len(waiting)}")
    terminal.until("[q] stop for now")
    terminal.press("f")
    terminal.until(f"second verdict 2 of {len(waiting)}")
    terminal = sit(*words)  # the one before is killed
    terminal.until("[s] we have changed seats")
    terminal.press("s")
    for place in range(1, len(waiting)):
        text_before = terminal.until(f"second verdict {place + 1} of {len(waiting)}")
        assert "proven after" not in text_before
        terminal.until("[q] stop for now")
        terminal.press("f")
    text = terminal.until("Not part of the promise")
    assert (
        "Every item of this batch of 300 may be released" in text
        and f"{len(waiting)} verdicts agreed" in text
    )
    assert terminal.process.wait(30) == 0


def test_the_second_person_may_send_it_back(tmp_path: Path) -> None:
    batch = AuditedBatch(batch_file(tmp_path), BatchAuditOptions(0.2, second=0.4))
    lines: list[str] = []

    def key() -> str:
        last = lines[-1]
        if "changed seats" in last:
            return "s"
        return "w" if "second verdict 1 " in last else "f"

    assert audit_at_terminal(batch, [], key, lines.append)
    assert any("the first person goes on" in line for line in lines)
    assert batch.audit.certificate.proven and batch.audit.agreement.missed == 1


def test_a_second_person_may_be_called_in_later_and_the_share_is_kept(tmp_path: Path) -> None:
    path = batch_file(tmp_path)
    alone = AuditedBatch(path, BatchAuditOptions(0.2))
    assert audit_at_terminal(alone, [], lambda: "f", lambda text: None)
    later = AuditedBatch(path, BatchAuditOptions(0.2, second=0.5))
    assert later.audit.labels == alone.audit.labels and ReviewerTurns(later).turn == "swap"
    later.save()
    assert AuditedBatch(path, BatchAuditOptions(0.2)).audit.second == 0.5


def test_both_columns_at_once(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tolerate", "audit", str(batch_file(tmp_path)), "-t", "20%", "--json"]
    more = ["--loss", "one", "--second-loss", "two", "--second", "100%"]
    done = subprocess.run([*words, *more], capture_output=True, text=True)
    assert done.returncode == 0
    assert "a second person read" in json.loads(done.stdout)["losses_by"]
