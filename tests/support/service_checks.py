"""Kills (-9) of `tolerate serve` itself while applications ask and a reviewer works at the desk's own forms."""

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

from tests.support.service_fakes import certificate
from tests.support.waiting import DEADLINE_SECONDS
from tolerate.store import connect
from tolerate.store.ledger import rows
from tolerate.store.verify import verify

# Kills

ZYGOTE = """
import asyncio, os, signal, sys
from tolerate.service.server import serve
from tolerate.service.config import JobSettings, ServiceSettings, TierSettings
database, upstream, certificate = sys.argv[1:]
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        tier = TierSettings("main", upstream, "tiny", "given", certificate=certificate, retries=0)
        job = JobSettings("support", (tier,), share=0.3)
        try:
            asyncio.run(serve(ServiceSettings((job,), database, port=0), lambda text: print(text, flush=True)))
        finally:
            print("ended", flush=True)
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
        assert line and line != "ended\n", "the service did not start"
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
        before, deadline = len(heard.verdicts), time.monotonic() + DEADLINE_SECONDS
        while not (len(heard.verdicts) > before and heard.released and heard.held):
            assert time.monotonic() < deadline, "nothing was answered"
            await asyncio.sleep(0.01)
        await asyncio.sleep(rng.uniform(0.0, 0.2))
        os.kill(pid, signal.SIGKILL)
        while _lives(pid):  # its lock on the database goes with it
            await asyncio.sleep(0.005)
        for fault in await asyncio.gather(*workers, return_exceptions=True):
            if not isinstance(fault, aiohttp.ClientError | OSError):
                raise fault


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


async def _ask(session: aiohttp.ClientSession, url: str, heard: Heard, rng: random.Random) -> None:
    """Ask until the service is gone; only what came whole counts as heard."""
    while True:
        text = f"answer {rng.getrandbits(64):x}"
        say = json.dumps({"say": text, "score": rng.choice([0.2, 0.9])})
        body = {"model": "support", "messages": [{"role": "user", "content": say}]}
        headers = {"authorization": f"Bearer {heard.key}"}
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            answer_body = json.loads(await answer.read())
            if answer.headers.get("x-tolerate-decision") == "release":
                heard.released[answer.headers["x-tolerate-ticket"]] = answer_body["choices"][0]["message"][
                    "content"
                ]
            else:
                assert text not in str(answer_body)
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
    result = verify(db)
    assert result.holds, result
    entries = [json.loads(body) for _, body, _ in rows(db)]
    written = {entry["ticket"]: entry for entry in entries if entry["kind"] == "decision"}
    for ticket, text in heard.released.items():
        assert written[ticket]["decision"] == "release" and written[ticket]["content"] == _sha(text)
    tickets = {ticket for (ticket,) in db.all("SELECT ticket FROM items")}
    assert heard.held <= tickets, "a held item is gone"
    assert heard.verdicts <= {nonce for (nonce,) in db.all("SELECT nonce FROM verdicts")}
    assert not db.all("SELECT slot FROM verdicts WHERE taken_back IS NULL GROUP BY slot HAVING count(*) > 1")
    db.close()


def _sha(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
