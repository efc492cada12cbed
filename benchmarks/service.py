"""The gateway beside LiteLLM's proxy: the same fake model, the same load, one run.

    python -m benchmarks.service [--seconds 5] [--litellm VERSION] [--no-litellm]

LiteLLM is installed into a virtual environment of its own (once, under ~/.cache/tolerate). CPU is that of the gateway's
process and its children, so requests a second per core is 1 / (CPU seconds a request). Ours writes every decision to
the disk before it answers; LiteLLM runs without a database.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks._load import Model, closed, opened
from tolerate.records import Certificate

CHAT = "/v1/chat/completions"
CERTIFICATE = Certificate(0.05, 0.95, "above", 0.5, 0.9, 0.05, 0.01, 1000, 1000, 900, "benchmark")
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A gateway that runs: its port, its key, its process, and how long it took to be ready."""

    port: int
    key: str
    process: subprocess.Popen[str]
    ready: float


def cpu(pid: int) -> float:
    """CPU seconds of a process and its children so far."""
    total = 0.0
    for each in [pid, *children(pid)]:
        try:
            parts = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(parts[11]) + int(parts[12])) / TICK
        except OSError:
            pass
    return total


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def resident(pid: int) -> float:
    """Resident memory of a process and its children in MiB."""
    page = os.sysconf("SC_PAGE_SIZE")
    return (
        sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) * page for p in [pid, *children(pid)])
        / 2**20
    )


def start_ours(folder: Path, upstream: str) -> Server:
    (folder / "certificate.json").write_text(CERTIFICATE.dumps())
    words = [sys.executable, "-m", "tolerate", "serve", "--job", "support", "--port", "0", "--share", "0"]
    words += [
        "--certificate",
        "certificate.json",
        "--upstream",
        upstream,
        "--model",
        "fake",
        "--judge",
        "given",
    ]
    began = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    while "password" not in said:
        line = process.stdout.readline()
        assert line, "the service did not start"
        said += line
    ready = time.perf_counter() - began
    port, key = re.search(r":(\d+)/v1", said), re.search(r"tol_\S+", said)
    assert port and key
    return Server(int(port[1]), key[0], process, ready)


def install_litellm(version: str) -> Path:
    folder = Path.home() / ".cache" / "tolerate" / f"litellm-{version}"
    if not (folder / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(folder / "bin" / "pip"), "install", "-q", f"litellm[proxy]=={version}"], check=True
        )
    return folder / "bin" / "litellm"


def start_litellm(program: Path, folder: Path, upstream: str) -> Server:
    (folder / "litellm.yaml").write_text(
        "model_list:\n  - model_name: fake\n    litellm_params:\n      model: openai/fake\n"
        f"      api_base: {upstream}\n      api_key: none\ngeneral_settings:\n  master_key: sk-bench\n"
    )
    port = 41_000 + os.getpid() % 1000
    words = [
        str(program),
        "--config",
        "litellm.yaml",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--num_workers",
        "1",
    ]
    quiet = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""}
    began = time.perf_counter()
    with (folder / "litellm.log").open("w") as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, text=True, env=quiet)
    while not _answers(port):
        assert process.poll() is None, (folder / "litellm.log").read_text()[-2000:]
        time.sleep(0.1)
    return Server(port, "sk-bench", process, time.perf_counter() - began)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def measure(name: str, server: Server, seconds: float) -> float:
    """Print what a gateway does; the CPU microseconds of a request at sixteen connections."""
    await closed(server.port, CHAT, server.key, 16, min(2.0, seconds))
    before, began = cpu(server.process.pid), time.perf_counter()
    took = await closed(server.port, CHAT, server.key, 16, seconds)
    wall, spent = time.perf_counter() - began, cpu(server.process.pid) - before
    single = await closed(server.port, CHAT, server.key, 1, min(2.0, seconds))
    each = 1e6 * spent / len(took)
    print(
        f"{name:10s}{len(took) / wall:10.0f}{each:12.0f}{1e6 / each:14.0f}{percentile(single, 0.5):10.2f}"
        f"{percentile(single, 0.99):9.2f}{resident(server.process.pid):9.1f}{server.ready:9.2f}",
        flush=True,
    )
    return each


async def added(server: Server, upstream_port: int, rate: float, seconds: float) -> None:
    """Latency added at a steady rate: through the gateway, less straight to the model."""
    straight = await opened(upstream_port, CHAT, "x", rate, seconds)
    through = await opened(server.port, CHAT, server.key, rate, seconds)
    for share in (0.5, 0.99):
        gap = percentile(through, share) - percentile(straight, share)
        print(f"added at {rate:.0f} requests/s, p{100 * share:.0f}: {gap:.2f} ms", flush=True)


async def growth(server: Server, requests: int) -> None:
    """Memory after many requests, less before."""
    before, done = resident(server.process.pid), 0
    while done < requests:
        done += len(await closed(server.port, CHAT, server.key, 32, 5.0))
    print(
        f"memory after {done:,} more requests: {resident(server.process.pid) - before:+.1f} MiB", flush=True
    )


async def run(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    fake = await loop.create_server(Model, "127.0.0.1", 0)
    port = fake.sockets[0].getsockname()[1]
    upstream = f"http://127.0.0.1:{port}/v1"
    print(
        f"{'gateway':10s}{'requests/s':>10s}{'CPU us each':>12s}{'a core':>14s}"
        f"{'p50 ms':>10s}{'p99':>9s}{'MiB':>9s}{'ready s':>9s}"
    )
    with tempfile.TemporaryDirectory() as name:
        ours = await loop.run_in_executor(None, start_ours, Path(name), upstream)
        steps: list[Callable[[], Awaitable[None]]] = []
        try:
            mine = await measure("tolerate", ours, options.seconds)
            steps.append(lambda: added(ours, port, 500, options.seconds))
            if options.requests:
                steps.append(lambda: growth(ours, options.requests))
            if not options.no_litellm:
                program = await loop.run_in_executor(None, install_litellm, options.litellm)
                theirs = await loop.run_in_executor(None, start_litellm, program, Path(name), upstream)
                try:
                    peer = await measure("litellm", theirs, options.seconds)
                    print(f"requests per core, ratio: {peer / mine:.1f}", flush=True)
                finally:
                    theirs.process.terminate()
                    theirs.process.wait()
            for step in steps:
                await step()
        finally:
            ours.process.terminate()
            ours.process.wait()
    fake.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--requests", type=int, default=100_000, help="requests for the growth of memory; 0 leaves it out"
    )
    parser.add_argument("--litellm", default="1.106.2")
    parser.add_argument("--no-litellm", action="store_true")
    options = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options))


if __name__ == "__main__":
    main()
