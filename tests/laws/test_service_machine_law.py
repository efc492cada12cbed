"""The law of the state machine: thousands of random lives of a service, against the model."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.service_machine import Machine
from tolerate.store import people

pytestmark = pytest.mark.law


def test_a_thousand_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 lives of up to 50 steps: no release where nothing stands, no item decided twice, the ledger holds."""
    monkeypatch.setitem(people.SCRYPT_OPTIONS, "n", 2)  # every life makes an owner
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=1000, stateful_step_count=50, deadline=None)
    )
