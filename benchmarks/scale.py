"""One table and its parts: the same certificate from memory, from parts, from workers and from Ray; time and memory.

Every way runs in a process of its own. "clock" is what a person waits, start-up included; "CPU" counts all
processes that were waited for (Ray's own are not); "peak" is the largest memory of any one of them.

python -m benchmarks.scale [--rows 5000000] [--parts 10]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tolerate as tol
from tolerate.data import tables

ROLES = {"loss": "wrong", "score": "sure", "slice": "lang"}
WAYS = ("one table in memory", "parts, 1 worker", "parts, 2 workers", "parts, Ray with 2 workers")


def write(folder: Path, rows: int, parts: int) -> None:
    """Write a table and the same rows in parts."""
    rng = np.random.default_rng(0)
    scores = rng.random(rows)
    columns = {
        "wrong": rng.random(rows) > scores**0.25,
        "sure": scores,
        "lang": np.array(["de", "fr", "zh"])[rng.integers(0, 3, rows)],
    }
    tables.write(folder / "whole.parquet", columns)
    (folder / "parts").mkdir()
    for k, rows_of_part in enumerate(np.array_split(np.arange(rows), parts)):
        tables.write(
            folder / "parts" / f"{k:04}.parquet",
            {name: column[rows_of_part] for name, column in columns.items()},
        )


def certify_by(folder: Path, method: str) -> str:
    """The certificate by one method, without its date and the hash of its files."""
    if method == WAYS[0]:
        certificate = tol.certify(tables.read(folder / "whole.parquet", **ROLES), tolerance=0.05)
    else:
        workers = 1 if "1 worker" in method else 2
        with tol.parts(folder / "parts", **ROLES, workers=workers, ray="Ray" in method) as source:
            certificate = tol.certify(source, tolerance=0.05)
    return replace(certificate, made="", data_sha256=None).dumps()


def measure(folder: Path, method: str) -> tuple[float, float, float, str]:
    """Wall-clock seconds, CPU seconds, peak memory in MB, and the certificate."""
    command = [sys.executable, "-m", "benchmarks.scale", "--folder", str(folder), "--way", method]
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stderr)
    figures, _, certificate = result.stdout.partition("\n")
    used, peak = map(float, figures.split())
    return time.perf_counter() - start, used, peak, certificate


def report(folder: Path, method: str) -> None:
    """In the process of one method: print its CPU seconds and memory, then the certificate."""
    certificate = certify_by(folder, method)
    all_used = [resource.getrusage(scope) for scope in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(usage.ru_utime + usage.ru_stime for usage in all_used)
    print(used, max(usage.ru_maxrss for usage in all_used) / 1024)
    print(certificate)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--parts", type=int, default=10)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--way", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.way:
        report(arguments.folder, arguments.way)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments.rows, arguments.parts)
        print(f"{arguments.rows:,} rows with three slices; {arguments.parts} parts\n")
        print(f"{'':26} {'clock':>7} {'CPU':>7} {'peak':>8}  certificate")
        expected = ""
        for method in WAYS if find_spec("ray") else WAYS[:-1]:
            clock, used, peak, certificate = measure(folder, method)
            expected = expected or certificate
            verdict = "the same" if certificate == expected else "ANOTHER ONE"
            print(f"{method:26} {clock:6.1f}s {used:6.1f}s {peak:6.0f}MB  {verdict}", flush=True)


if __name__ == "__main__":
    main()
