"""The review desk over HTTP: a million items, 32 reviewers who press a key as soon as they see the next item.

    python -m benchmarks.desk [--items 1000000] [--reviewers 32] [--seconds 10] [--pause 0.1]

A decision is the form's POST, its durable verdict, and the page of the next item. `--pause` is a reviewer's time for
an item, so that 32 reviewers ask for 250 decisions a second at 0.128 s. CPU is the service's, user and system.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from tolerate.store import Database, DatabaseWriter, people
from tolerate.store.queue import ITEM_COLUMNS, Item

NAMES = ITEM_COLUMNS.split(", ")
PASSWORD = "a password for all"
TICK = os.sysconf("SC_CLK_TCK")


def fill(db: Database, start: int, count: int) -> None:
    """Insert held items, each with an open slot."""
    items = [
        Item(f"tk_{n:024x}", "support", float(n), "user: a question " * 8, "an answer " * 20)
        for n in range(start, start + count)
    ]
    marks = ", ".join("?" for _ in NAMES)
    db.many(
        f"INSERT INTO items ({ITEM_COLUMNS}) VALUES ({marks})",
        [tuple(getattr(i, n) for n in NAMES) for i in items],
    )
    columns = "INSERT INTO slots (ticket, job, kind, priority, at, state)"
    db.many(f"{columns} VALUES (?, 'support', 'review', 10, ?, 'open')", [(i.ticket, i.at) for i in items])


def prepare(path: str, items: int, reviewers: int) -> None:
    writer = DatabaseWriter(path)
    for start in range(0, items, 50_000):
        writer.submit(fill, start, min(50_000, items - start)).result()
    for n in range(reviewers):
        writer.submit(people.add_user, f"r{n}", PASSWORD, "reviewer", "benchmark", 1.0).result()
    writer.close()


class Browser:
    """One reviewer's connection."""

    def __init__(self, port: int, name: str) -> None:
        self.port, self.name, self.cookie = port, name, ""

    async def ask(
        self, method: str, path: str, form: dict[str, str] | None = None
    ) -> tuple[dict[str, str], str]:
        body = urlencode(form or {}).encode()
        head = f"{method} /desk/{path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncookie: {self.cookie}\r\n"
        head += f"origin: http://127.0.0.1:{self.port}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return headers, (await self.reader.readexactly(int(headers["content-length"]))).decode()

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        headers, _ = await self.ask("POST", "login", {"name": self.name, "password": PASSWORD})
        self.cookie = headers["set-cookie"].split(";")[0]

    async def work(self, seconds: float, pause: float, waits: list[float]) -> None:
        end = time.perf_counter() + seconds
        _, page = await self.ask("GET", "review")
        while time.perf_counter() < end:
            await asyncio.sleep(pause)
            form = {
                n: match[1]
                for n in ("csrf", "slot", "nonce")
                if (match := re.search(f'name="{n}" value="([^"]+)"', page))
            }
            began = time.perf_counter()
            await self.ask("POST", "verdict", {**form, "grade": "f"})
            _, page = await self.ask("GET", "review")
            waits.append(time.perf_counter() - began)
        self.writer.close()


def cpu(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / TICK


async def run(options: argparse.Namespace, folder: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "tolerate",
        "serve",
        "--job",
        "support",
        "--upstream",
        "http://127.0.0.1:9/v1",
    ]
    words += ["--model", "none", "--port", "0", "--database", str(folder / "desk.db")]
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    waits: list[float] = []
    try:
        assert server.stdout is not None
        first_line = (await server.stdout.readline()).decode()
        match = re.search(r":(\d+)/v1", first_line)
        assert match, first_line
        browsers = [Browser(int(match[1]), f"r{n}") for n in range(options.reviewers)]
        for browser in browsers:
            await browser.open()
        spent, began = cpu(server.pid), time.perf_counter()
        await asyncio.gather(*(browser.work(options.seconds, options.pause, waits) for browser in browsers))
        wall, spent = time.perf_counter() - began, cpu(server.pid) - spent
    finally:
        server.send_signal(signal.SIGTERM)
        await server.wait()
    waits.sort()
    median, p95 = waits[len(waits) // 2], waits[int(0.95 * len(waits))]
    print(
        f"{options.items:,} items, {options.reviewers} reviewers: {len(waits) / wall:.0f} decisions/s seen, "
        f"{1e6 * spent / len(waits):,.0f} us of CPU each ({len(waits) / spent:.0f} a core-second); "
        f"key to next item {1e3 * median:.0f} ms p50, {1e3 * p95:.0f} ms p95"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--reviewers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pause", type=float, default=0.1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(str(Path(name) / "desk.db"), options.items, options.reviewers)
        asyncio.run(run(options, Path(name)))


if __name__ == "__main__":
    main()
