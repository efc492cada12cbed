"""The program of a local desk, from its first link to its end: one database, one piece of work, one machine."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from tolerate.base.json_types import JsonObject
from tolerate.errors import RunError
from tolerate.messages.desk import WORDS
from tolerate.messages.terminal import terminal_text
from tolerate.service.config import ServiceSettings
from tolerate.service.database_reader import DatabaseReader
from tolerate.service.local.desk import LocalDesk
from tolerate.service.local.links import LoginLinks
from tolerate.service.local.options import SECOND, LocalDeskOptions, check_name
from tolerate.service.local.serving import HOST, address, listening_socket, serve_until
from tolerate.service.local.work import ReviewWork
from tolerate.store import Database, DatabaseWriter, people, queue
from tolerate.store.schema import meta, set_meta


def serve_desk(
    work: ReviewWork, database: Path, options: LocalDeskOptions, files: Path | None = None
) -> None:
    """Serve a desk until its work is done and the person finishes; returns at once if it was finished before."""
    asyncio.run(LocalHost(work, database, options, files).serve())


class LocalHost:
    """The host of a local desk. first: name of whoever began; has_second: whether the second reviewer has no name."""

    def __init__(
        self, work: ReviewWork, database: Path, options: LocalDeskOptions, files: Path | None
    ) -> None:
        for name in options.names:
            check_name(name, reserved=True)
        self.work, self.options, self.files = work, options, files
        self.service = ServiceSettings((work.job,), database=str(database), host=HOST, lang=options.lang)
        self.first = options.names[0]
        self.has_second = work.second and len(options.names) == 1
        self.several = len(options.names) > 1
        self.finished = asyncio.Event()
        self.links = LoginLinks(self._announce_link)

    def accepted_losses(self) -> dict[str, float]:
        """No item is held at a local desk."""
        return {}

    def after_settlement(self, items: Sequence[queue.SettledItem], alarms: Sequence[JsonObject]) -> None:
        """No client waits for an answer of a local desk."""

    def settlement_watcher(self, alarms: list[JsonObject]) -> queue.OnSettled:
        """A local desk has no watch."""
        return lambda db, item: None

    async def serve(self) -> None:
        """Open the database, serve the desk and close the database."""
        try:
            self.writer = DatabaseWriter(self.service.database)
        except RunError as error:
            raise RunError(
                f"the desk of {self.service.database} cannot be opened; if the same command runs elsewhere, go on "
                f"there or stop it ({error})"
            ) from None
        self.reader = DatabaseReader(self.service.database)
        try:
            await self.writer.do(self._begin, time.time())
            if self.work.progress.done and await self.writer.do(_nothing_due):
                await self.writer.do(self.work.finish)
            else:
                await self._serve_pages()
        finally:
            self.reader.close()
            await asyncio.get_running_loop().run_in_executor(None, self.writer.close)

    @property
    def _reviewers(self) -> tuple[str, ...]:
        return (*self.options.names, *((SECOND,) if self.has_second else ()))

    def _begin(self, db: Database, now: float) -> None:
        for name in self._reviewers:
            _add_user(db, name, "owner" if name == self.first else "reviewer", now, self.options.lang)
        self.work.begin(db, now)

    async def add_reviewer(self, name: str) -> None:
        """Add one more reviewer, unless there is one of this name."""
        self.several = self.several or name not in (self.first, SECOND)
        await self.writer.do(_add_user, name, "reviewer", time.time(), self.options.lang)
        await self.writer.do(self.work.update, time.time())

    async def _serve_pages(self) -> None:
        with listening_socket(self.options.port or await self.reader.query(_last_port)) as listening:
            await self.writer.do(set_meta, "port", str(listening.getsockname()[1]))
            self.links.base = address(listening)
            await serve_until(LocalDesk(self), listening, self._announce_all, self.finished)

    def _announce_all(self) -> None:
        for name in self._reviewers:
            self.links.announce(name)

    def _announce_link(self, name: str, link: str) -> None:
        alone = name == self.first and not self.several and not self.has_second
        lang = self.options.lang
        shown = WORDS.get(f"seat {name}", (name, name))[lang == "zh"]
        line = terminal_text("open", link=link) if alone else terminal_text("open for", name=shown, link=link)
        self.options.announce(line.pick(lang))


def _nothing_due(db: Database) -> bool:
    """Whether every verdict is final: the person had finished before, or nothing was asked at this desk."""
    return db.first("SELECT 1 FROM items WHERE due IS NOT NULL LIMIT 1") is None


def _add_user(db: Database, name: str, role: str, now: float, lang: str) -> None:
    """Add a user who logs in by links alone: the password is random and not stored."""
    if not db.first("SELECT 1 FROM users WHERE name = ?", name):
        people.add_user(db, name, secrets.token_urlsafe(32), role, "the command line", now, lang)
    people.set_language(db, name, lang)


def _last_port(db: Database) -> int:
    """The port of the last time, so that an open page goes on after a restart; 0 if there is none."""
    return int(meta(db, "port") or 0)
