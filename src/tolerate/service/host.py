"""Protocols of what the pages of a desk need from the program that serves them.

`ReviewHost` suffices for reviewing: the running service is one, and so is a desk on one machine. `ServiceHost` adds
what the pages of the watch, of people and of the demonstration do with the running service.
"""

from collections.abc import Sequence
from typing import Protocol

from tolerate.base.json_types import JsonObject
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
from tolerate.service.database_reader import DatabaseReader
from tolerate.store import DatabaseWriter
from tolerate.store.queue import OnSettled, SettledItem


class ReviewHost(Protocol):
    """A database, what is served, and what follows from a settled item."""

    service: ServiceSettings
    writer: DatabaseWriter
    reader: DatabaseReader

    def accepted_losses(self) -> dict[str, float]:
        """By job: the largest final loss at which a held item is released."""
        ...

    def settlement_watcher(self, alarms: list[JsonObject]) -> OnSettled:
        """The function that takes a settled item in, inside the writer; it appends the alarms that follow."""
        ...

    def after_settlement(self, items: Sequence[SettledItem], alarms: Sequence[JsonObject]) -> None:
        """Answer clients who wait for these items, and send the alarms; called when all is on the disk."""
        ...


class DemoControls(Protocol):
    """The switches of the demonstration."""

    @property
    def worse(self) -> bool:
        """Whether the worse model answers."""
        ...

    @property
    def other_questions(self) -> bool:
        """Whether other questions are asked than the certified ones."""
        ...

    async def set_worse(self, worse: bool) -> None:
        """Put the worse model in place, or the good one."""
        ...

    async def set_other_questions(self, other: bool) -> None:
        """Ask other questions, or the certified ones."""
        ...


class ServiceHost(ReviewHost, Protocol):
    """A running service."""

    @property
    def demo(self) -> DemoControls | None:
        """The controls of the demonstration; None if this is none."""
        ...

    def report_alarm(self, alarm: JsonObject) -> None:
        """Log an alarm and send it to the webhooks."""
        ...

    def forget_keys(self) -> None:
        """Look every key up again: one was revoked."""
        ...

    async def reload_certificates(self) -> None:
        """Read the certificates in force, after anything changed them."""
        ...

    async def install_certificate(self, job: JobSettings, tier: TierSettings, id: str, by: str) -> None:
        """Put a stored certificate in force, bound to what is configured now."""
        ...

    async def end_restriction(self, job: JobSettings, tier: str, slice: str, by: str, why: str) -> None:
        """End DEGRADED (slice ""), or the hold of a slice, by a person's decision."""
        ...
