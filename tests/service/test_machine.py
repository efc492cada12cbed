"""A short version of the law of the state machine, and twins of the service that it must catch."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.service_machine import FILE, Machine, OnPostgres
from tolerate.service.decide import binding
from tolerate.service.decide.engine import DecisionEngine
from tolerate.store import DatabaseWriter, people, queue, restrictions

SHORT = settings(max_examples=25, stateful_step_count=25, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example makes an owner; the slow hash of passwords is tested elsewhere."""
    monkeypatch.setitem(people.SCRYPT_OPTIONS, "n", 2)


def test_no_release_where_nothing_stands_and_no_double_decision() -> None:
    run_state_machine_as_test(Machine, settings=SHORT)


def test_the_same_on_postgres() -> None:
    run_state_machine_as_test(OnPostgres, settings=settings(SHORT, max_examples=5))


def play(*moves: Callable[[Machine], None]) -> None:
    """Some moves of the machine, with what it checks after each and at the end."""
    machine = Machine()
    machine.open()
    try:
        for move in moves:
            move(machine)
            machine.what_stands_is_what_the_model_says()
    finally:
        machine.teardown()


def ask(machine: Machine) -> None:
    machine.ask(0.9, False, None)


def fine(machine: Machine) -> None:
    machine.review("ann", 0.0, True, False)


MOVES: dict[str, tuple[Callable[[Machine], None], ...]] = {
    "another guide": (ask, lambda m: m.restart(("guide", "a")), ask, lambda m: m.restart(None), ask),
    "another name": (ask, lambda m: m.model_changes("other"), ask, lambda m: m.decide(0.9)),
    "withdrawn at the last moment": (ask, lambda m: m.withdraw("after the rule was asked"), ask),
    "withdrawn while the model answers": (lambda m: m.withdraw("while the model answers"), ask),
    "a withdrawn one stays withdrawn": (lambda m: m.withdraw("now"), lambda m: m.restart(None), ask),
    "what a person put in force stays": (
        lambda m: m.restart(("guide", "a")), lambda m: m.install(0.8), ask, lambda m: m.restart(("guide", "a")), ask,
    ),
    "the same by hand": (lambda m: m.withdraw("now"), lambda m: m.install(FILE), ask, lambda m: m.restart(None), ask),
    "verdicts and undo": (ask, ask, fine, lambda m: m.undo("ann"), fine, fine, lambda m: m.time_passes()),
    "degraded": (ask, lambda m: m.degrade((None, None)), ask, lambda m: m.restart(None), ask, lambda m: m.ease(), ask),
    "many wrong ones": (*[ask, lambda m: m.review("ann", 1.0, False, False)] * 12, lambda m: m.time_passes(), ask),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_moves_that_matter(name: str) -> None:
    play(*MOVES[name])


async def _say_nothing(*arguments: Any) -> None:
    pass


def _without_the_last_look(writer: DatabaseWriter, entry: dict[str, Any]) -> dict[str, Any]:
    standing, writer.standing = (
        writer.standing,
        {(entry.get("job"), entry.get("tier")): entry.get("certificate")},
    )
    try:
        return APPEND(writer, entry)
    finally:
        writer.standing = standing


APPEND, VERDICT = DatabaseWriter._append, queue.record_verdict
BROKEN = {
    "another guide": (binding, "mismatches", lambda *arguments: []),
    "another name": (DecisionEngine, "_check_served_model", _say_nothing),
    "withdrawn at the last moment": (DatabaseWriter, "_append", _without_the_last_look),
    "degraded": (restrictions, "hold_reason", lambda *arguments: ""),
    "verdicts and undo": (
        queue,
        "record_verdict",
        lambda *arguments, **named: VERDICT(*arguments, **named) or True,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_twins_are_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[name])
    with pytest.raises(AssertionError):
        play(*MOVES[name])
