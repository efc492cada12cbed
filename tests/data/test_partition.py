"""Many files, counted by one process, by several, by Ray: one certificate, to the last digit."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tolerate as tol
from tolerate.data import partition, tables
from tolerate.data.partition import SerialExecutor, parts
from tolerate.errors import DataError, OptionError
from tolerate.records import Certificate
from tolerate.stats.certify import counts
from tolerate.stats.verification import verify

N = 30_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One table of 30,000 answers, whole and in seven uneven parts, with ties, missing scores and slices."""
    location, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    scores = rng.random(N)
    wrong = rng.random(N) > scores**0.25
    columns: dict[str, Any] = {
        "wrong": wrong,
        "harmful": wrong & (rng.random(N) < 0.05),
        "sure": [
            None if rng.random() < 0.01 else float(s)
            for s in np.where(scores > 0.9, np.round(scores, 2), scores)
        ],
        "lang": np.array(["de", "fr", "zh"])[rng.integers(0, 3, N)],
    }
    tables.write(location / "whole.parquet", columns)
    (location / "parts").mkdir()
    cuts = [0, 1, 700, 9_000, 9_001, 20_000, 27_000, N]
    for k, (a, b) in enumerate(pairwise(cuts)):
        tables.write(
            location / "parts" / f"{k}.parquet", {name: column[a:b] for name, column in columns.items()}
        )
    return location


CASES: list[dict[str, Any]] = [
    {"loss": "wrong", "tolerance": 0.05},
    {
        "loss": ["wrong", "harmful"],
        "tolerance": {"wrong": 0.05, "harmful": 0.003},
        "slice": "lang",
        "each_slice": True,
    },
    {"loss": "wrong", "tolerance": 0.0004, "slice": "lang"},
    {"loss": "harmful", "tolerance": 0.05, "score": None},
]


def certificate_json(source: Any, options: dict[str, Any]) -> str:
    cert = tol.certify(source, tolerance=options["tolerance"], each_slice=options.get("each_slice", False))
    return replace(cert, made="", data_sha256=None).dumps()


def columns_of(options: dict[str, Any]) -> dict[str, Any]:
    return {"loss": options["loss"], "score": options.get("score", "sure"), "slice": options.get("slice")}


def same_everywhere(folder: Path, options: dict[str, Any], **how: Any) -> None:
    expected = certificate_json(tables.read(folder / "whole.parquet", **columns_of(options)), options)
    with parts(folder / "parts", **columns_of(options), **how) as source:
        assert certificate_json(source, options) == expected


@pytest.mark.parametrize("options", CASES, ids=["one loss", "two losses, slices", "nothing", "no score"])
def test_parts_make_the_certificate_of_the_whole(folder: Path, options: dict[str, Any]) -> None:
    same_everywhere(folder, options)


def test_in_small_steps_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a file, row groups, several rounds of zooming: still the same."""
    for module, name, value in (
        (tables, "CHUNK_ROWS", 500), (partition, "TASK_ROWS", 5000),
        (counts, "MAX_GATHERED_ROWS", 900), (counts, "MAX_CELLS", 4096),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    same_everywhere(folder, CASES[1])


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_make_the_same_certificate(folder: Path, workers: int) -> None:
    same_everywhere(folder, CASES[1], workers=workers)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'")
def test_ray_makes_the_same_certificate(folder: Path) -> None:
    """In a process of its own: Ray starts threads and warns of what others do."""
    code = (
        "import sys, pathlib; sys.path.insert(0, '.'); from tests.data.test_partition import CASES, same_everywhere\n"
        "for options in CASES[:2]: same_everywhere(pathlib.Path(sys.argv[1]), options, workers=2, ray=True)\nprint('same')"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=root, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip().endswith("same"), done.stderr


def test_a_lost_part_is_seen(folder: Path) -> None:
    """Broken: one part fewer; the certificate says so in every number."""
    files = tables.files_of(folder / "parts")[:-1]
    with parts(files, **columns_of(CASES[0])) as source:
        cert = tol.certify(source, tolerance=0.05)
    with parts(folder / "parts", **columns_of(CASES[0])) as source:
        assert tol.certify(source, tolerance=0.05).labels == N != cert.labels
        verification = verify(cert, source)
    assert not verification.holds and any("labels" in reason for reason in verification.reasons)
    assert any("another one" in reason for reason in verification.reasons)


def test_verified_from_parts(folder: Path) -> None:
    with parts(folder / "parts", **columns_of(CASES[1])) as source:
        cert = tol.certify(source, tolerance=CASES[1]["tolerance"], each_slice=True)
        assert verify(Certificate.loads(cert.dumps()), source).holds
        assert not verify(replace(cert, threshold=0.5), source).holds


def test_the_hash_is_of_the_files_in_their_order(folder: Path) -> None:
    files = tables.files_of(folder / "parts")
    forth, back = parts(files, loss="wrong"), parts(files[::-1], loss="wrong")
    assert forth.sha256 == back.sha256 == tables.sha256_of_files([tables.sha256(path) for path in files])
    assert parts(folder / "whole.parquet", loss="wrong").sha256 == tables.sha256(folder / "whole.parquet")


def test_csv_parts_count_too(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.csv").write_text(
            "wrong,sure\n" + "".join(f"{int(i % 50 == k)},{i / 100}\n" for i in range(100))
        )
    cert = tol.certify(parts(tmp_path / "*.csv", loss="wrong", score="sure"), tolerance=0.1)
    assert cert.labels == 300 and cert.proven


def test_what_counts_cannot_tell_is_refused(tmp_path: Path) -> None:
    tables.write(tmp_path / "graded.parquet", {"loss": [0.0, 0.5, 1.0]})
    with pytest.raises(DataError, match="graded"):
        tol.certify(parts(tmp_path / "graded.parquet"), tolerance=0.1)
    with pytest.raises(OptionError, match="workers is 0"):
        parts(tmp_path / "graded.parquet", workers=0)
    with pytest.raises(DataError, match="names no file"):
        parts(tmp_path / "none*.parquet")
    with pytest.raises(DataError, match='no column "wrong"'):
        tol.certify(parts(tmp_path / "graded.parquet", loss="wrong"), tolerance=0.1)
    with pytest.raises(OptionError, match="own columns"):
        tol.certify(parts(tmp_path / "graded.parquet"), scores=[1.0], tolerance=0.1)


def test_no_row_is_no_certificate(tmp_path: Path) -> None:
    tables.write(tmp_path / "empty.parquet", {"loss": np.array([], float)})
    with pytest.raises(DataError, match="no rows"):
        tol.certify(parts(tmp_path / "empty.parquet"), tolerance=0.1)


def test_alone_does_the_work_in_turn() -> None:
    assert list(SerialExecutor().map_unordered(abs, [-1, 2])) == [1, 2]


def tolerate(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tolerate", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command_certifies_and_verifies_parts(folder: Path, tmp_path: Path) -> None:
    cert = tmp_path / "certificate.json"
    losses = ("--loss", "wrong=5%", "--loss", "harmful=0.3%", "--score", "sure", "--slice", "lang")
    whole = tolerate("certify", folder / "whole.parquet", *losses, "--json")
    many = tolerate("certify", folder / "parts" / "*.parquet", *losses, "--json", "--out", cert)
    a, b = ({**json.loads(done.stdout), "made": "", "data_sha256": ""} for done in (whole, many))
    assert a == b and [risk["name"] for risk in a["risks"]] == ["wrong", "harmful"]
    assert tolerate("verify", cert, folder / "parts").returncode == 0
    cert.write_text(cert.read_text().replace('"tolerance": 0.003', '"tolerance": 0.001'))
    changed = tolerate("verify", cert, folder / "parts")
    assert changed.returncode == 1 and "threshold is" in changed.stdout
    refused = tolerate("certify", folder / "parts", "--loss", "wrong", "-t", "5%", "--cluster", "lang")
    assert refused.returncode == 2 and "--cluster needs the rows" in refused.stderr


class FakeRay:
    """Ray's five calls, in this process; answers come in reverse order."""

    class exceptions:
        class RayTaskError(Exception):
            cause = DataError("a worker's own words")

    def __init__(self) -> None:
        self.begun: dict[str, Any] | None = None

    def is_initialized(self) -> bool:
        return self.begun is not None

    def init(self, **options: Any) -> None:
        self.begun = options

    def remote(self, work: Any) -> Any:
        return type("Task", (), {"remote": staticmethod(lambda argument: (work, argument))})

    def wait(self, waiting: list[Any]) -> tuple[list[Any], list[Any]]:
        return waiting[-1:], waiting[:-1]

    def get(self, answer: Any) -> Any:
        try:
            return answer[0](answer[1])
        except DataError:
            raise self.exceptions.RayTaskError from None

    def shutdown(self) -> None:
        self.begun = None


def test_how_ray_is_called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Ray, so that this runs where Ray is not installed; the real one is tested above."""
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    same_everywhere(folder, CASES[0], workers=2, ray=True)
    assert fake.begun is None
    with parts(folder / "parts", loss="sure", workers=2, ray=True) as source:
        assert fake.begun is not None and fake.begun["num_cpus"] == 2
        with pytest.raises(DataError, match="own words"):
            tol.certify(source, tolerance=0.1)
    monkeypatch.setitem(sys.modules, "ray", None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="not installed"):
        parts(folder / "parts", ray=True)
