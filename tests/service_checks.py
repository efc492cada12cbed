"""The service's promises as checks of any size: the short ones run with the tests, the long ones as laws."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import apsw

from tests.service_fakes import certificate
from tolerate.gateway import wire
from tolerate.gateway.app import App
from tolerate.gateway.gate import Gate
from tolerate.gateway.metrics import Metrics
from tolerate.gateway.reader import Reader
from tolerate.gateway.settings import JobSettings, Service, Tier
from tolerate.gateway.upstream import Answer
from tolerate.store import Writer, connect, people, promises, queue
from tolerate.store.database import SQLite
from tolerate.store.ledger import rows
from tolerate.store.verify import verify

# Kills

ZYGOTE = """
import asyncio, os, signal, sys
from tolerate.gateway.server import serve
from tolerate.gateway.settings import JobSettings, Service, Tier
database, upstream, certificate = sys.argv[1:]
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        tier = Tier("main", upstream, "tiny", "given", certificate=certificate, retries=0)
        job = JobSettings("support", (tier,), share=0.3)
        asyncio.run(serve(Service((job,), database, port=0), lambda text: print(text, flush=True)))
        os._exit(0)
    print("pid", child, flush=True)
"""


@dataclass
class Heard:
    """What clients and reviewers were told before the lights went out."""

    released: dict[str, str] = field(default_factory=dict)  # ticket -> text
    held: set[str] = field(default_factory=set)
    verdicts: set[str] = field(default_factory=set)  # nonces that were taken
    key: str = ""
    password: str = ""
    cookie: str = ""


def kills(rounds: int, folder: Path, upstream: str, seed: int = 0) -> Heard:
    """Start the service, load it, kill it with -9 at a random moment; again and again on one database."""
    rng, heard = random.Random(seed), Heard()
    database = str(folder / "kills.db")
    (folder / "certificate.json").write_text(certificate().dumps())
    words = [sys.executable, "-c", ZYGOTE, database, upstream, str(folder / "certificate.json")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as zygote:
        for _ in range(rounds):
            pid, url = _begin(zygote, heard)
            asyncio.run(_load(url, heard, pid, rng))
        zygote.stdin.close()
    _agree(database, heard)
    return heard


def _begin(zygote: Any, heard: Heard) -> tuple[int, str]:
    zygote.stdin.write("go\n")
    zygote.stdin.flush()
    pid, url = 0, ""
    while not (pid and url):
        line = zygote.stdout.readline()
        assert line, "the service did not start"
        if line.startswith("pid"):
            pid = int(line.split()[1])
        elif line.startswith("gateway"):
            url = line.split()[1].removesuffix("/v1")
            first = not heard.key
        if url and first and not heard.key:
            heard.key = _after(zygote, "first key")
            heard.password = _after(zygote, "owner's password").split()[0]
    return pid, url


def _after(zygote: Any, what: str) -> str:
    while True:
        line = zygote.stdout.readline()
        if line.startswith(what):
            return line[len(what) :].strip()


async def _load(url: str, heard: Heard, pid: int, rng: random.Random) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        workers = [asyncio.ensure_future(_ask(session, url, heard, rng)) for _ in range(6)]
        workers.append(asyncio.ensure_future(_review(session, url, heard)))
        while not heard.cookie and not workers[-1].done():  # a login takes its time, on purpose
            await asyncio.sleep(0.01)
        await asyncio.sleep(rng.uniform(0.05, 0.4))
        os.kill(pid, signal.SIGKILL)
        for fault in await asyncio.gather(*workers, return_exceptions=True):
            if not isinstance(fault, aiohttp.ClientError | OSError):
                raise fault


async def _ask(session: aiohttp.ClientSession, url: str, heard: Heard, rng: random.Random) -> None:
    """Ask until the service is gone; only what came whole counts as heard."""
    while True:
        text = f"answer {rng.getrandbits(64):x}"
        say = json.dumps({"say": text, "score": rng.choice([0.2, 0.9])})
        body = {"model": "support", "messages": [{"role": "user", "content": say}]}
        headers = {"authorization": f"Bearer {heard.key}"}
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            found = json.loads(await answer.read())
            if answer.headers.get("x-tolerate-decision") == "release":
                heard.released[answer.headers["x-tolerate-ticket"]] = found["choices"][0]["message"][
                    "content"
                ]
            else:
                assert text not in str(found)
                heard.held.add(answer.headers["x-tolerate-ticket"])


async def _review(session: aiohttp.ClientSession, url: str, heard: Heard) -> None:
    if not heard.cookie:
        form = urllib.parse.urlencode({"name": "owner", "password": heard.password})
        heard.cookie = (await _post(session, url, "login", form, ""))["set-cookie"].split(";")[0]
    while True:
        async with session.get(f"{url}/desk/review", headers={"cookie": heard.cookie}) as answer:
            page = await answer.text()
        if 'name="slot"' not in page:
            await asyncio.sleep(0.01)
            continue
        value = {n: page.split(f'name="{n}" value="')[1].split('"')[0] for n in ("csrf", "slot", "nonce")}
        form = urllib.parse.urlencode({**value, "grade": "f"})
        where = (await _post(session, url, "verdict", form, heard.cookie))["location"]
        if "told=gone" not in where:
            heard.verdicts.add(value["nonce"])


async def _post(session: aiohttp.ClientSession, url: str, path: str, form: str, cookie: str) -> Any:
    headers = {"origin": url, "cookie": cookie, "content-type": "application/x-www-form-urlencoded"}
    async with session.post(
        f"{url}/desk/{path}", data=form, headers=headers, allow_redirects=False
    ) as answer:
        assert answer.status == 303, answer.status
        await answer.read()
        return answer.headers


def _agree(database: str, heard: Heard) -> None:
    """Everything that was heard is in the database, once, and the ledger holds."""
    db = connect(database)
    found = verify(db)
    assert found.holds, found
    entries = [json.loads(body) for _, body, _ in rows(db)]
    written = {entry["ticket"]: entry for entry in entries if entry["kind"] == "decision"}
    for ticket, text in heard.released.items():
        assert written[ticket]["decision"] == "release" and written[ticket]["content"] == _sha(text)
    kept = {ticket for (ticket,) in db.all("SELECT ticket FROM items")}
    assert heard.held <= kept, "a held item is gone"
    assert heard.verdicts <= {nonce for (nonce,) in db.all("SELECT nonce FROM verdicts")}
    assert not db.all("SELECT slot FROM verdicts WHERE taken_back IS NULL GROUP BY slot HAVING count(*) > 1")
    db.close()


def _sha(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


# Losses of power


class Disk:
    """What a disk holds: writes are sure only once they were synced; a loss of power keeps any of the others."""

    def __init__(self) -> None:
        self.sure: dict[str, bytearray] = {}
        self.unsure: dict[str, list[tuple[int, bytes | None]]] = {}

    def wrote(self, name: str, offset: int, data: bytes | None) -> None:
        self.unsure.setdefault(name, []).append((offset, data))

    def synced(self, name: str) -> None:
        image = self.sure.setdefault(name, bytearray())
        for offset, data in self.unsure.pop(name, []):
            _apply(image, offset, data)

    def after_loss(self, rng: random.Random) -> dict[str, bytes]:
        """One state in which the files may be found: each unsynced write there, gone, or torn."""
        found = {}
        for name in {*self.sure, *self.unsure}:
            image = bytearray(self.sure.get(name, b""))
            for offset, data in self.unsure.get(name, []):
                fate = rng.random()
                if fate < 0.4:
                    continue
                if data is not None and fate < 0.6:
                    data = data[: rng.randrange(len(data) + 1)]
                _apply(image, offset, data)
            found[name] = bytes(image)
        return found


def _apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


class Shim(apsw.VFS):
    """SQLite's own files, with every write and sync told to the disk."""

    def __init__(self, name: str, disk: Disk, lies: bool = False) -> None:
        self.disk, self.lies = disk, lies
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> "ShimFile":
        return ShimFile(name, flags, self.disk, self.lies)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        self.disk.sure.pop(Path(name).name, None)
        self.disk.unsure.pop(Path(name).name, None)


class ShimFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: Any, disk: Disk, lies: bool) -> None:
        self.name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "temp").name
        self.disk, self.lies = disk, lies
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self.disk.wrote(self.name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self.disk.wrote(self.name, size, None)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if not self.lies:
            self.disk.synced(self.name)


class OnDisk(SQLite):
    """The store's own statements on SQLite's files as `Shim` shows them."""

    def __init__(self, path: str, vfs: str) -> None:
        self._apsw = apsw.Connection(path, vfs=vfs)
        for pragma in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=FULL",
            "journal_size_limit=67108864",
            "wal_autocheckpoint=40",
        ):
            self._apsw.execute(f"PRAGMA {pragma}").fetchall()

    def all(self, sql: str, *values: Any) -> list[Any]:
        return self._apsw.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        return self._apsw.execute(sql, values).fetchone()

    def run(self, sql: str, *values: Any) -> int:
        self._apsw.execute(sql, values).fetchall()
        return self._apsw.changes()

    def many(self, sql: str, rows: Any) -> None:
        self._apsw.executemany(sql, rows)

    def close(self) -> None:
        self._apsw.close()


class PowerWriter(Writer):
    """The writer on such a disk."""

    vfs = ""

    def _open(self) -> Any:
        from tolerate.store.schema import prepare

        db = OnDisk(self.url, self.vfs)
        prepare(db)
        return db


def power_losses(losses: int, folder: Path, seed: int = 0, lies: bool = False) -> int:
    """Work, then find the files as a loss of power may leave them; how many answers were checked against them."""
    disk, rng = Disk(), random.Random(seed)
    vfs = f"disk-{seed}-{lies}"
    shim = Shim(vfs, disk, lies)
    writer = type("Powered", (PowerWriter,), {"vfs": vfs})(str(folder / "power.db"))
    id = writer.submit(promises.install, "support", "one", certificate(), {}, "ann", 1.0).result(30)
    answered: list[str] = []
    judged: list[str] = []
    for loss in range(losses):
        asyncio.run(_work(writer, id, rng, answered, judged))
        files = disk.after_loss(rng)
        found = folder / f"loss{loss}"
        found.mkdir()
        for name, data in files.items():
            if not name.endswith("-shm"):
                (found / name).write_bytes(data)
        _check_loss(found / "power.db", answered, judged)
    writer.close()
    shim.unregister()
    return len(answered) + len(judged)


async def _work(writer: Writer, id: str, rng: random.Random, answered: list[str], judged: list[str]) -> None:
    async def one() -> None:
        ticket = f"{rng.getrandbits(64):x}"
        entry = {
            "kind": "decision", "job": "support", "tier": "one", "ticket": ticket, "decision": "release",
            "score": 0.9, "certificate": id, "reason": "", "content": "",
        }  # fmt: skip
        await writer.record(entry)
        answered.append(ticket)

    async def review() -> None:
        ticket = f"{rng.getrandbits(64):x}"
        await writer.do(queue.keep, queue.Item(ticket, "support", 1.0, "q", "a"))
        task = await writer.do(queue.lease, f"r{rng.getrandbits(32)}", time.time())
        work = lambda db: queue.verdict(db, task.slot, _reviewer(db, task.slot), 0.0, 2.0, nonce=ticket)  # noqa: E731
        await writer.do(work)
        judged.append(ticket)

    await asyncio.gather(
        *(one() for _ in range(rng.randint(1, 30))), *(review() for _ in range(rng.randint(0, 4)))
    )


def _reviewer(db: Any, slot: int) -> str:
    return str(db.one("SELECT reviewer FROM slots WHERE id = ?", slot)[0])


def _check_loss(path: Path, answered: list[str], judged: list[str]) -> None:
    db = connect(str(path))
    found = verify(db)
    assert found.holds, found
    written = {json.loads(body).get("ticket") for _, body, _ in rows(db)}
    assert set(answered) <= written, "an answer was given and its row is gone"
    nonces = [nonce for (nonce,) in db.all("SELECT nonce FROM verdicts")]
    assert set(judged) <= set(nonces) and len(set(nonces)) == len(nonces)
    db.close()


# Fuzzed streams


class Pieces:
    """An upstream that streams whatever it is given, in pieces cut anywhere."""

    def __init__(self) -> None:
        self.breakers: dict[str, Any] = {}

    async def complete(self, tier: Tier, ask: wire.Ask, body: Any) -> Answer:
        events, whole = wire.Events(2**20), wire.Assembly(ask.kind)
        for piece in json.loads(ask.body["messages"][-1]["content"]):
            await asyncio.sleep(0)
            for each in events.feed(piece.encode("latin-1")):
                whole.add(each)
        return Answer(whole.whole(), None)


async def fuzz_streams(count: int, folder: Path, seed: int = 0, app_type: type[App] = App) -> tuple[int, int]:
    """Streams of every kind of damage through the whole gateway; how many were released, and how many were held."""
    rng = random.Random(seed)
    tier = Tier("main", "http://127.0.0.1:9/v1", "m", "given")
    service = Service((JobSettings("support", (tier,), share=0.0),), str(folder / "fuzz.db"))
    writer = Noting(service.database)
    writer.durable = set()
    key = await writer.do(people.add_key, "k", "ann", time.time())
    id = await writer.do(promises.install, "support", "main", certificate(), {}, "ann", 1.0)
    reader = Reader(service.database)
    gate = Gate(service, writer, Pieces(), Metrics())  # type: ignore[arg-type]
    gate.know(await reader.ask(promises.active))
    app = app_type(gate, reader)
    tally = [0, 0]
    for start in range(0, count, 64):
        some = range(start, min(start + 64, count))
        await asyncio.gather(*(_one_stream(app, key, fuzzed(rng), tally) for _ in some))
        await asyncio.sleep(0)
        if (
            writer.standing.get(("support", "main")) != id
        ):  # a fuzzed model name made it VOID: go on with it in force
            await writer.do(promises.install, "support", "main", certificate(), {"served": "m"}, "ann", 1.0)
            gate.know(await reader.ask(promises.active))
    reader.close()
    await asyncio.to_thread(writer.close)
    db = connect(service.database)
    assert verify(db).holds
    db.close()
    return tally[0], tally[1]


def fuzzed(rng: random.Random) -> list[str]:
    """One stream in pieces: mostly sound, then damaged in one of many ways."""
    score = rng.choice([0.1, 0.9, None, "0.9", 2, -1])
    words = ["SECRET " * rng.randint(1, 3) for _ in range(rng.randint(0, 4))]
    choices = [{"index": 0, "delta": {"role": "assistant", "content": word}} for word in words]
    if rng.random() < 0.3:
        call = {
            "index": rng.choice([0, 0, 0, 1, 7, -1]),
            "id": "c",
            "function": {"name": "f", "arguments": "SECRET"},
        }
        choices.append({"index": 0, "delta": {"tool_calls": [call]}})
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop", "score": score})
    events = [
        json.dumps({"id": "x", "model": rng.choice(["m"] * 50 + ["n"]), "choices": [each]})
        for each in choices
    ]
    text = (
        "".join(f"data: {event}{rng.choice(chr(10) * 2 + chr(13))}\n\n" for event in events)
        + "data: [DONE]\n\n"
    )
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        place, kind = rng.randrange(len(text) + 1), rng.randrange(5)
        if kind == 0:
            text = text[:place]
        elif kind == 1:
            text = text[:place] + chr(rng.randrange(256)) + text[place:]
        elif kind == 2:
            text = text[:place] + text[place + rng.randint(1, 9) :]
        elif kind == 3:
            text = text[:place] + text[rng.randrange(len(text) + 1) :]
        else:
            text = text[:place] + text[place : place + 20] + text[place:]
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randint(0, 5)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


async def _one_stream(app: App, key: str, pieces: list[str], tally: list[int]) -> None:
    body = {"model": "support", "stream": True, "messages": [{"role": "user", "content": json.dumps(pieces)}]}
    given = [{"type": "http.request", "body": json.dumps(body).encode()}]
    out: list[bytes] = []
    leaks: list[bytes] = []

    async def receive() -> Any:
        if not given:
            await asyncio.Event().wait()
        return given.pop()

    async def send(message: Any) -> None:
        data = message.get("body", b"")
        if b"SECRET" in data and _sha(_text(data)) not in app.gate.writer.durable:  # type: ignore[attr-defined]
            leaks.append(data)
        out.append(data)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
        "headers": [(b"authorization", f"Bearer {key}".encode())], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    assert not leaks, f"a token left before its row: {leaks[0]!r}"
    tally[0 if b"SECRET" in b"".join(out) else 1] += 1


def _text(data: bytes) -> str:
    """What a client reads in these events."""
    whole = wire.Assembly(wire.CHAT)
    try:
        for event in wire.Events(2**24).feed(data):
            whole.add(event)
        return wire.answer_text(whole.whole())
    except wire.Refused:
        return "no answer at all"


class Noting(Writer):
    """A writer that notes the hash of every released content once its row is durable."""

    durable: set[str]

    async def record(self, entry: Any, also: Any = None) -> Any:  # type: ignore[override]
        done = await super().record(entry, also)
        if done["decision"] == "release":
            self.durable.add(done["content"])
        return done


class Leaky(App):
    """BROKEN on purpose: passes a stream on as it comes and decides afterwards."""

    async def _held_stream(self, job: Any, ask: Any, key: Any, request: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in json.loads(ask.body["messages"][-1]["content"]):
            await send({"type": "http.response.body", "body": piece.encode("latin-1"), "more_body": True})
        await self.gate.complete(job, ask, key)
