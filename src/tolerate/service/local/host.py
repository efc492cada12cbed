"""A desk at one's own machine, from its first link to its end: loopback only, one database, one piece of work."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from tolerate.base.json_types import JsonObject
from tolerate.errors import OptionError, RunError
from tolerate.messages.desk import WORDS
from tolerate.messages.terminal import terminal_text
from tolerate.service.config import ServiceSettings
from tolerate.service.database_reader import DatabaseReader
from tolerate.service.local import SECOND, Sitters
from tolerate.service.local.desk import LocalDesk
from tolerate.service.local.links import Links
from tolerate.service.local.serving import HOST, address, listen, port_of
from tolerate.service.local.work import Work
from tolerate.store import Database, DatabaseWriter, people, queue
from tolerate.store.schema import meta, set_meta


def sit(work: Work, database: Path, sitters: Sitters, files: Path | None = None) -> None:
    """Serve a desk until its work is done and the person finishes; nothing is served if it is done already."""
    asyncio.run(Local(work, database, sitters, files).serve())


class Local:
    """A desk for one piece of work."""

    def __init__(self, work: Work, database: Path, sitters: Sitters, files: Path | None) -> None:
        for name in sitters.names:
            if not name or len(name) > 80 or name == SECOND:
                raise OptionError(f'"{name}" is no name for a person; choose one of 1 to 80 characters')
        self.work, self.sitters, self.files = work, sitters, files
        self.service = ServiceSettings((work.job,), database=str(database), host=HOST, lang=sitters.lang)
        self.first = sitters.names[0]
        self.has_second = work.second and len(sitters.names) == 1
        self.several = len(sitters.names) > 1
        self.finished = asyncio.Event()
        self.links = Links(self._say)

    def accepted_losses(self) -> dict[str, float]:
        """Nothing is held here."""
        return {}

    def after_settlement(self, items: Sequence[queue.SettledItem], alarms: Sequence[JsonObject]) -> None:
        """Nobody waits for an answer here."""

    def settlement_watcher(self, alarms: list[JsonObject]) -> queue.OnSettled:
        """Nothing is watched here."""
        return lambda db, each: None

    async def serve(self) -> None:
        """From the first link to the end."""
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
            if self.work.progress.done and await self.writer.do(self._settled):
                await self.writer.do(self.work.end)
            else:
                await self._listen()
        finally:
            self.reader.close()
            await asyncio.get_running_loop().run_in_executor(None, self.writer.close)

    def _begin(self, db: Database, at: float) -> None:
        for name in (*self.sitters.names, *([SECOND] if self.has_second else [])):
            _add(db, name, "owner" if name == self.first else "reviewer", at, self.sitters.lang)
        self.work.begin(db, at)

    def _settled(self, db: Database) -> bool:
        """Whether the person had finished before, or nothing was asked at this desk at all."""
        return db.first("SELECT 1 FROM items WHERE due IS NOT NULL LIMIT 1") is None

    async def seat(self, name: str) -> None:
        """One more person."""
        self.several = self.several or name not in (self.first, SECOND)
        await self.writer.do(_add, name, "reviewer", time.time(), self.sitters.lang)
        await self.writer.do(self.work.follow, time.time())

    # Listening

    async def _listen(self) -> None:
        with port_of(self.sitters.port or await self.reader.query(_port)) as listening:
            await self.writer.do(set_meta, "port", str(listening.getsockname()[1]))
            self.links.base = address(listening)
            await listen(LocalDesk(self), listening, self._announce, self.finished)

    def _announce(self) -> None:
        for name in (*self.sitters.names, *([SECOND] if self.has_second else [])):
            self.links.say(name)

    def _say(self, name: str, link: str) -> None:
        alone = name == self.first and not self.several and not self.has_second
        lang = self.sitters.lang
        known = WORDS.get(f"seat {name}", (name, name))[lang == "zh"]
        line = terminal_text("open", link=link) if alone else terminal_text("open for", name=known, link=link)
        self.sitters.ready(line.pick(lang))


def _add(db: Database, name: str, role: str, at: float, lang: str) -> None:
    """A person who comes in by links alone: nobody knows the password."""
    if not db.first("SELECT 1 FROM users WHERE name = ?", name):
        people.add_user(db, name, secrets.token_urlsafe(32), role, "the command line", at, lang)
    people.set_language(db, name, lang)


def _port(db: Database) -> int:
    """The port of the last time, so that a page that stands open goes on after a restart."""
    return int(meta(db, "port") or 0)
