"""Kills (-9) of `tolerate serve` itself: applications ask, and a reviewer works with the desk's own forms."""

import asyncio
import hashlib
import json
import os
import sys
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.crashes import WORDS, Outside
from tests.support.inside import chat
from tests.support.kills import World, kill_repeatedly
from tests.support.service_fakes import service_of
from tolerate.service.config import ServiceSettings
from tolerate.service.server import serve
from tolerate.store import Database, connect
from tolerate.store.ledger import rows

MAX_WORDS = 8


def serve_command(settings: ServiceSettings, pipe: Connection) -> None:
    """What `tolerate serve` does; each printed text goes into the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    asyncio.run(serve(settings, pipe.send))


class DeskWorld(World):
    """Applications, and the owner, who reviews with the desk's forms."""

    reviewers = ("owner",)

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.password = self.cookie = ""
        self._verdicts_before = 0

    def port_of(self, pipe: Connection) -> int:
        """The port of the printed address; the first start prints a key and the owner's password, too."""
        address = pipe.recv().split()[1].removesuffix("/v1")
        if not self.key:
            self.key = pipe.recv().removeprefix("first key").strip()
            self.password = pipe.recv().removeprefix("owner's password").split()[0]
        self._verdicts_before = len(self.outside.verdicts)
        return int(address.rpartition(":")[2])

    def request(self, label: str) -> dict[str, Any]:
        """A request without streaming; about half are released."""
        instructions = {"say": WORDS * self.rng.randrange(1, MAX_WORDS + 1), "score": self.rng.random()}
        return chat(instructions, metadata={"slice": label})

    def progressed(self) -> bool:
        """Whether a verdict was given in this round: a login takes its time, on purpose."""
        return len(self.outside.verdicts) > self._verdicts_before

    async def _review(self, port: int, who: str) -> None:
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                await self._use_forms(session, f"http://127.0.0.1:{port}", who)
        except (aiohttp.ClientError, OSError):
            return

    async def _use_forms(self, session: aiohttp.ClientSession, url: str, who: str) -> None:
        if not self.cookie:
            headers = await _post(session, url, "login", {"name": who, "password": self.password}, "")
            self.cookie = headers["set-cookie"].split(";")[0]
        while True:
            async with session.get(f"{url}/desk/review", headers={"cookie": self.cookie}) as response:
                page = await response.text()
            if 'name="slot"' not in page:
                await asyncio.sleep(0.01)
                continue
            form = {
                name: page.split(f'name="{name}" value="')[1].split('"')[0]
                for name in ("csrf", "slot", "nonce")
            }
            headers = await _post(session, url, "verdict", {**form, "grade": "f"}, self.cookie)
            if "told=gone" not in headers["location"]:
                self.outside.verdicts[who, form["nonce"]] = int(form["slot"])


async def _post(
    session: aiohttp.ClientSession, url: str, path: str, form: dict[str, str], cookie: str
) -> Any:
    headers = {"origin": url, "cookie": cookie}
    address = f"{url}/desk/{path}"
    async with session.post(address, data=form, headers=headers, allow_redirects=False) as response:
        assert response.status == 303, response.status
        await response.read()
        return response.headers


def kill_served_desk(folder: Path, upstream: str, times: int, seed: int = 0) -> tuple[list[str], Outside]:
    """Kill a service that asks an upstream and has the desk's pages; what is wrong, and what was told."""
    url, world = str(folder / "kills.db"), DeskWorld(seed)
    settings = service_of(upstream, url, folder, share=0.3)
    wrong = kill_repeatedly(url, world, partial(serve_command, settings), times)
    with closing(connect(url, read_only=True)) as db:
        wrong += wrong_rows(db)
    return wrong, world.outside


def wrong_rows(db: Database) -> list[str]:
    """Released rows whose hash is of another text, and held rows without an item."""
    texts = {hashlib.sha256((WORDS * count).encode()).hexdigest() for count in range(1, MAX_WORDS + 1)}
    tickets = {ticket for (ticket,) in db.all("SELECT ticket FROM items")}
    entries = [json.loads(body) for _, body, _ in rows(db)]
    return [
        f"row {entry['seq']} is wrong"
        for entry in entries
        if entry["kind"] == "decision"
        and (
            entry["content"] not in texts
            if entry["decision"] == "release"
            else entry["ticket"] not in tickets
        )
    ]
