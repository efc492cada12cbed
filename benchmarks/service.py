"""The gateway beside LiteLLM's proxy: same trivial upstream, same load, one run; then memory, start and the queue.

    python -m benchmarks.service [--rounds 3] [--seconds 6] [--without-peer] [--only gateway,open,memory,queue]

LiteLLM (pinned) is installed on first use into a virtual environment of its own, `.peers/litellm`. Each gateway runs on
one core, load and upstream on another. On a machine that others use too, requests a second say little; a request's CPU
time (user and system, of all threads of the gateway) says much, so the ratio is made of that, and the gateways take
turns. Latencies at a fixed rate are taken with real-time priority, where that is allowed. Ours writes a durable row for
each answer (SQLite, full synchronisation) and draws one item in twenty for review; LiteLLM runs without a database.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import _traffic

ROOT = Path(__file__).resolve().parent.parent
LITELLM = "1.106.2"
PEERS = ROOT / ".peers"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = resource.getpagesize()
CORES = sorted(os.sched_getaffinity(0))
CERTIFICATE = {
    "tolerance": 0.05, "confidence": 0.95, "scope": "above", "threshold": 0.5, "coverage": 0.5, "risk_bound": 0.05,
    "risk_seen": 0.01, "labels": 1000, "clusters": 1000, "released": 500, "method": "a benchmark",
}  # fmt: skip


@dataclass
class Gateway:
    """A gateway in its own process, with its measurements."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    message: bytes
    ready: float  # seconds from its start to its first answer
    ready_cpu: float
    latencies: dict[int, list[float]] = field(default_factory=dict)  # by connections
    cpu: dict[int, list[float]] = field(default_factory=dict)  # of a request, by connections
    rate: dict[int, list[float]] = field(default_factory=dict)

    def seconds(self) -> float:
        """CPU time of the process and its children so far."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    def resident(self) -> float:
        """Resident memory in MiB, of the process and its children."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _family(self.process.pid)]
        return sum(pages) * PAGE / 2**20


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in _family(int(child)))]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first(core: int, real: bool = False) -> None:
    """Pin to a core with high priority where permitted; real: with real-time priority, for short runs."""
    os.sched_setaffinity(0, {CORES[core % len(CORES)]})
    with contextlib.suppress(PermissionError):
        if real:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        else:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, -20)


@contextlib.contextmanager
def _running(
    command: list[str], core: int, folder: Path, real: bool = False, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **env}
    with (folder / f"{Path(command[0]).name}-{uuid.uuid4().hex[:4]}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder if "litellm" in command[0] else ROOT, env=environment, stdout=log, stderr=log,
            preexec_fn=lambda: _first(core, real),
        )  # fmt: skip
    process.log = Path(log.name)  # type: ignore[attr-defined]
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, seconds: float = 120) -> float:
    """Seconds until the server answers."""
    began = time.perf_counter()
    while time.perf_counter() < began + seconds:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return time.perf_counter() - began
        if process.poll() is not None:
            raise RuntimeError(process.log.read_text()[-3000:])  # type: ignore[attr-defined]
        time.sleep(0.01)
    raise RuntimeError(f"{url} did not answer in {seconds:g} s")


@contextlib.contextmanager
def upstream(folder: Path, real: bool = False) -> Iterator[int]:
    """Run the trivial model server."""
    port = _free_port()
    with _running([sys.executable, "-m", "benchmarks._traffic", str(port)], 1, folder, real) as process:
        _wait(process, f"http://127.0.0.1:{port}/")
        yield port


@contextlib.contextmanager
def ours(
    folder: Path, upstream: int, database_folder: Path | None = None, real: bool = False
) -> Iterator[Gateway]:
    """Run `tolerate serve` as a user starts it."""
    port = _free_port()
    (folder / "certificate.json").write_text(json.dumps(CERTIFICATE))
    database = (database_folder or folder) / f"{uuid.uuid4().hex}.db"
    command = [sys.executable, "-m", "tolerate", "serve", "--job", "fake", "--judge", "given"]
    command += ["--certificate", str(folder / "certificate.json"), "--database", str(database)]
    command += ["--upstream", f"http://127.0.0.1:{upstream}/v1", "--port", str(port), "--share", "0.05"]
    with _running(command, 0, folder, real) as process:
        ready = _wait(process, f"http://127.0.0.1:{port}/healthz")
        cpu = _cpu(process.pid)
        time.sleep(0.3)
        key = re.search(r"tol_\S+", process.log.read_text())  # type: ignore[attr-defined]
        assert key is not None
        message = _traffic.request("/v1/chat/completions", key[0])
        yield Gateway("tolerate, durable row", process, port, message, ready, cpu)


@contextlib.contextmanager
def litellm(folder: Path, upstream: int) -> Iterator[Gateway]:
    """Run LiteLLM's proxy with one worker and no database."""
    program = PEERS / "litellm" / "bin" / "litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS / "litellm"], check=True)
        pip = [
            PEERS / "litellm" / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            f"litellm[proxy]=={LITELLM}",
        ]
        subprocess.run(pip, check=True)
    port = _free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: fake\n    litellm_params:\n      model: openai/fake\n"
        f"      api_base: http://127.0.0.1:{upstream}/v1\n      api_key: none\n"
        "general_settings:\n  master_key: sk-bench\nlitellm_settings:\n  telemetry: false\n"
    )
    command = [str(program), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    command += ["--num_workers", "1"]
    quiet = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "PYTHONPATH": "",
        "NO_DOCS": "True",
    }
    with _running(command, 0, folder, **quiet) as process:
        ready = _wait(process, f"http://127.0.0.1:{port}/health/liveliness")
        cpu = sum(_cpu(pid) for pid in _family(process.pid))
        message = _traffic.request("/v1/chat/completions", "sk-bench")
        yield Gateway(f"LiteLLM {LITELLM}, no database", process, port, message, ready, cpu)


def measure(gateway: Gateway, connections: int, seconds: float) -> None:
    """Measure a closed loop of requests."""
    cpu, began = gateway.seconds(), time.perf_counter()
    took = asyncio.run(_traffic.closed_loop(gateway.port, gateway.message, connections, seconds))
    gateway.rate.setdefault(connections, []).append(len(took) / (time.perf_counter() - began))
    gateway.cpu.setdefault(connections, []).append((gateway.seconds() - cpu) / len(took))
    gateway.latencies.setdefault(connections, []).extend(took)


def concatenate(parts: list[list[float]]) -> list[float]:
    """All values in one list."""
    return [value for part in parts for value in part]


def quantile(values: list[float], share: float) -> float:
    """A quantile."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def side_by_side(folder: Path, up: int, rounds: int, seconds: float, peer: bool) -> None:
    """Measure requests a core-second, the gateways taking turns."""
    with contextlib.ExitStack() as stack:
        all_ = [stack.enter_context(ours(folder, up))]
        if peer:
            all_.append(stack.enter_context(litellm(folder, up)))
        for gateway in all_:
            measure(gateway, 4, 2.0)
            gateway.latencies.clear(), gateway.cpu.clear(), gateway.rate.clear()
        for _ in range(rounds):
            for connections in (1, 16):
                for gateway in all_:
                    measure(gateway, connections, seconds)
        print("| gateway | CPU us a request, c=1 | c=16 | requests a core-second, c=16 | requests/s seen, c=16 | "
              "p50/p99 ms, c=1 | MiB after it | ready s (CPU s) |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
        for g in all_:
            cpu = {c: statistics.median(g.cpu[c]) for c in (1, 16)}
            print(
                f"| {g.name} | {1e6 * cpu[1]:,.0f} | {1e6 * cpu[16]:,.0f} | {1 / cpu[16]:,.0f} | "
                f"{statistics.median(g.rate[16]):,.0f} | {1e3 * quantile(g.latencies[1], 0.5):.2f}/"
                f"{1e3 * quantile(g.latencies[1], 0.99):.2f} | {g.resident():.0f} | {g.ready:.2f} ({g.ready_cpu:.2f}) |"
            )
        if peer:
            ratios = [b / a for a, b in zip(all_[0].cpu[16], all_[1].cpu[16], strict=True)]
            print(f"\nRatio of requests a core-second, ours to LiteLLM, by round: "
                  f"{', '.join(f'{ratio:.1f}' for ratio in ratios)} (target: at least 40)")  # fmt: skip


def disk(folder: Path, times: int = 300) -> list[float]:
    """Seconds that the disk takes to confirm 8 KiB, the size of a small commit."""
    file = os.open(folder / "probe", os.O_CREAT | os.O_RDWR)
    os.pwrite(file, bytes(2**22), 0)
    os.fsync(file)
    took = []
    for number in range(times):
        time.sleep(0.002)
        began = time.perf_counter()
        os.pwrite(file, os.urandom(8192), number * 8192 % 2**22)
        os.fdatasync(file)
        took.append(time.perf_counter() - began)
    os.close(file)
    return took


def open_loop(folder: Path, rate: float, seconds: float, rounds: int) -> None:
    """Print the latency that the gateway adds at a fixed arrival rate: its own, and including the disk.

    Its own is measured with the database in a file system in memory, where a confirmation is immediate.
    """
    memory = Path(tempfile.mkdtemp(prefix="tolerate-bench-", dir="/dev/shm"))
    plain = _traffic.request("/v1/chat/completions", "x")
    latencies: dict[str, list[list[float]]] = {
        "direct": [],
        "gateway, database in memory": [],
        "gateway, on the disk": [],
    }
    names, probes = list(latencies), []
    try:
        with contextlib.ExitStack() as stack:
            up = stack.enter_context(upstream(folder, real=True))
            fast = stack.enter_context(ours(folder, up, database_folder=memory, real=True))
            slow = stack.enter_context(ours(folder, up, real=True))
            _first(1, real=True)
            for gateway in (fast, slow):
                asyncio.run(_traffic.open_loop(gateway.port, gateway.message, rate, 2.0))
            os.sync()  # what other programs wrote before would hold our first commits up
            for _ in range(rounds):
                targets = [(up, plain), (fast.port, fast.message), (slow.port, slow.message)]
                for name, (port, message) in zip(names, targets, strict=True):
                    latencies[name].append(asyncio.run(_traffic.open_loop(port, message, rate, seconds)))
                probes.append(disk(folder))
    finally:
        _first(1)
        shutil.rmtree(memory, ignore_errors=True)
    confirmations = concatenate(probes)
    print(
        f"\nOpen loop, {rate:g} requests/s, {rounds} rounds of {seconds:g} s (load of the machine "
        f"{os.getloadavg()[0]:.1f} on {len(CORES)} cores; this disk confirms 8 KiB in "
        f"{1e3 * quantile(confirmations, 0.5):.2f} ms p50, {1e3 * quantile(confirmations, 0.99):.2f} ms p99):\n"
    )
    print("| ms | p50, all rounds | p99 | p50, best round | p99 | added p50, best | added p99, best |")
    print("|---|---|---|---|---|---|---|")
    best = {
        name: [min(quantile(values, q) for values in rounds_of) for q in (0.5, 0.99)]
        for name, rounds_of in latencies.items()
    }
    for name, rounds_of in latencies.items():
        overall = [quantile(concatenate(rounds_of), q) for q in (0.5, 0.99)]
        added = [b - a for a, b in zip(best["direct"], best[name], strict=True)]
        print(f"| {name} | " + " | ".join(f"{1e3 * x:.2f}" for x in [*overall, *best[name], *added]) + " |")
    print(
        "\nTargets: added p50 0.8 ms, p99 3 ms. A durable row waits for the disk: no gateway can add less than it."
    )


def memory(folder: Path, up: int, count: int) -> None:
    """Print the resident memory after the start, after 20,000 requests and after `count` more."""
    with ours(folder, up) as gateway:
        sizes = [gateway.resident()]
        for number in (20_000, count):
            asyncio.run(_traffic.closed_loop(gateway.port, gateway.message, 16, 600, number))
            sizes.append(gateway.resident())
    print(f"\nMemory: {sizes[0]:.1f} MiB at the start, {sizes[1]:.1f} after 20,000 requests, {sizes[2]:.1f} after "
          f"{count:,} more: {sizes[2] - sizes[1]:+.2f} MiB (targets: at most 80, growing by less than 1)")  # fmt: skip


# The queue


def queue(folder: Path, items: int, reviewers: int, seconds: float) -> None:
    """Measure a queue of items with reviewers who decide without pause: verdict and next item, durable."""
    from tolerate.store import DatabaseWriter
    from tolerate.store.queue import ITEM_COLUMNS, Item, NewVerdict, record_verdict
    from tolerate.store.queue import lease as lease_next

    writer = DatabaseWriter(str(folder / "queue.db"))
    names = ITEM_COLUMNS.split(", ")

    def fill(db: object, start: int, count: int) -> None:
        rows, slots = [], []
        for n in range(start, start + count):
            item = Item(f"tk_{n:024x}", "support", float(n), "a question " * 8, "an answer " * 8)
            rows.append(tuple(getattr(item, name) for name in names))
            slots.append((item.ticket, item.at))
        marks = ", ".join("?" for _ in names)
        db.many(f"INSERT INTO items ({ITEM_COLUMNS}) VALUES ({marks})", rows)  # type: ignore[attr-defined]
        columns, values = "ticket, job, kind, priority, at, state", "?, 'support', 'review', 10, ?, 'open'"
        sql = f"INSERT INTO slots ({columns}) VALUES ({values})"
        db.many(sql, slots)  # type: ignore[attr-defined]

    for start in range(0, items, 50_000):
        writer.submit(fill, start, min(50_000, items - start)).result()
    waits: list[float] = []

    async def review(reviewer: str, end: float) -> int:
        count, task = 0, await writer.do(lambda db: lease_next(db, reviewer, time.time()))
        while time.perf_counter() < end and task is not None:
            began, slot = time.perf_counter(), task.slot

            def press(db: object, slot: int = slot, nonce: str = f"{reviewer}{count}") -> object:
                record_verdict(db, NewVerdict(slot, reviewer, 0.0, nonce), time.time())  # type: ignore[arg-type]
                return lease_next(db, reviewer, time.time())  # type: ignore[arg-type]

            task = await writer.do(press)
            waits.append(time.perf_counter() - began)
            count += 1
        return count

    async def everyone() -> list[int]:
        end = time.perf_counter() + seconds
        return await asyncio.gather(*(review(f"r{n}", end) for n in range(reviewers)))

    cpu, began = time.process_time(), time.perf_counter()
    total = sum(asyncio.run(everyone()))
    wall, spent = time.perf_counter() - began, time.process_time() - cpu
    stored = writer.submit(
        lambda db: db.first("SELECT count(*), count(DISTINCT slot) FROM verdicts")
    ).result()
    writer.close()
    assert stored == (total, total), (stored, total)
    print(
        f"\nQueue of {items:,} items, {reviewers} reviewers at the store: {total / wall:,.0f} decisions/s seen "
        f"(target 250), {1e6 * spent / total:,.0f} us of CPU each ({total / spent:,.0f} a core-second), "
        f"key to next item p50 {1e3 * quantile(waits, 0.5):.0f} ms, p95 {1e3 * quantile(waits, 0.95):.0f} ms; "
        "none doubled, none lost"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--only", default="gateway,open,memory,queue")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tolerate-bench-"))
    _first(1)
    try:
        with upstream(folder) as up:
            if "gateway" in arguments.only:
                side_by_side(folder, up, arguments.rounds, arguments.seconds, not arguments.without_peer)
            if "open" in arguments.only:
                open_loop(folder, 500, arguments.seconds, arguments.rounds)
            if "memory" in arguments.only:
                memory(folder, up, arguments.requests)
        if "queue" in arguments.only:
            queue(folder, arguments.items, 32, arguments.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
