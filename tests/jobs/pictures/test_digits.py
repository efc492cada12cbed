"""The picture jobs on real pictures, end to end: small versions of what `make demo` does."""

import gzip
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from tests.support.chinese import english_words
from tolerate.data.pictures import digits
from tolerate.messages.certificates import certificate_text
from tolerate.records import Certificate

TOLERATE = [sys.executable, "-m", "tolerate"]
SMALL = ("--labels", "1500", "--proof", "600", "--refine", "plain,best-of-4", "--tolerance", "5%")


def tolerate(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*TOLERATE, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`tolerate run digits` with two models, as a user types it."""
    folder = tmp_path_factory.mktemp("demo")
    done = tolerate("run", "digits", "--models", "cvae,vae-mixture", *SMALL, folder=folder)
    return folder / "runs" / "digits", done.stdout


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text("utf-8")))


def test_it_ends_with_a_line_a_person_understands(run: tuple[Path, str]) -> None:
    output = run[1]
    assert "at most 5% of them wrong (95% sure)" in output.splitlines()[-1]
    assert str(Path("runs") / "digits" / "report.html") in output


def test_it_leaves_what_it_promised(run: tuple[Path, str]) -> None:
    names = {path.name for path in run[0].iterdir()}
    assert {
        "run.json",
        "log.txt",
        "split.json",
        "certificate.json",
        "items.parquet",
        "labels.parquet",
    } <= names
    assert {"report.html", "summary.json", "DONE"} <= names
    for model in ("cvae", "vae-mixture"):
        assert (run[0] / "models" / model / "model.safetensors").exists()
        assert (run[0] / "models" / model / "metrics.jsonl").exists()


def test_the_certificate_can_be_verified_from_its_labels(run: tuple[Path, str]) -> None:
    tolerate("verify", "certificate.json", "labels.parquet", folder=run[0])
    certificate = Certificate.loads((run[0] / "certificate.json").read_text("utf-8"))
    assert certificate.proven and certificate.coverage > 0.5
    assert "reader" in certificate.losses_by and "%" in certificate.losses_by
    assert english_words(certificate_text(certificate, "zh"), {"reader"}) == []


def test_no_real_picture_serves_two_purposes(run: tuple[Path, str]) -> None:
    """As written down, and as counted from the pictures themselves."""
    parts = json.loads((run[0] / "split.json").read_text("utf-8"))["parts"]
    indices = [index for part in parts.values() for index in part]
    assert len(indices) == len(set(indices)) == 1797
    sizes = {part["name"]: part["n"] for part in summary(run[0])["data"]["split"]}
    assert sizes == {name: len(part) for name, part in parts.items()}


def test_the_proof_keeps_the_promise(run: tuple[Path, str]) -> None:
    """Fresh drawings at every tolerance: no interval lies wholly above what was promised."""
    rows = [row for row in summary(run[0])["best"] if row["zone"] != "none"]
    assert len(rows) >= 3
    for row in rows:
        assert row["proof"]["low"] <= row["tolerance"]


def test_items_carry_their_pictures(run: tuple[Path, str]) -> None:
    items = parquet.read_table(run[0] / "items.parquet").to_pydict()
    assert len(items["content"]) == 600 and all(png.startswith(b"\x89PNG") for png in items["content"])
    assert set(items["decision"]) <= {"release", "review"}


def test_the_same_command_again_does_nothing(run: tuple[Path, str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in run[0].rglob("*") if path.is_file()}
    tolerate("run", "digits", "--models", "cvae,vae-mixture", *SMALL, folder=run[0].parent.parent)
    after = {path: path.stat().st_mtime_ns for path in run[0].rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} <= {"log.txt"}


def test_the_steps_one_by_one(tmp_path: Path) -> None:
    """Train, let it draw sevens, check them, certify: the page `docs/start.md` in a test."""
    tolerate("train", "cvae", "--steps", "300", "--out", "m", folder=tmp_path)
    tolerate("generate", "m", "--ask", "7", "--count", "40", "--out", "sevens", folder=tmp_path)
    output = tolerate("check", "sevens", "--out", "labels.csv", folder=tmp_path).stdout
    assert output.startswith("40 items")
    rows = (tmp_path / "labels.csv").read_text().splitlines()
    assert rows[0].replace('"', "") == "item,asked,read,score,loss" and len(rows) == 41
    reads = [row.split(",")[2].strip('"') for row in rows[1:]]
    assert reads.count("7") > 20


def test_mnist_as_published(shared: Path, tmp_path: Path) -> None:
    """The first pictures of MNIST at half their size, in files of the published form, through the whole run."""
    data = tmp_path / "mnist"
    data.mkdir()
    for part, count in (("train", 3000), ("t10k", 600)):
        for kind, skip, shape in (("images-idx3", 16, (28, 28)), ("labels-idx1", 8, ())):
            name = f"{part}-{kind}-ubyte.gz"
            raw = gzip.decompress((shared / "raw" / "mnist" / name).read_bytes())
            values = np.frombuffer(raw, np.uint8, count * math.prod(shape), skip).reshape(count, *shape)
            half = values[:, ::2, ::2] if shape else values
            sizes = b"".join(size.to_bytes(4, "big") for size in half.shape)
            (data / name).write_bytes(gzip.compress(raw[:4] + sizes + half.tobytes()))
    words = ("run", "mnist", "--data", data, "--models", "vae-mixture", "--labels", "400")
    tolerate(*words, "--proof", "100", "--refine", "best-of-4", "--tolerance", "20%", folder=tmp_path)
    result = summary(tmp_path / "runs" / "mnist")
    assert result["data"]["total"] == 3600 and result["models"][0]["metrics"]["fid"] > 0


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """Someone's own pictures, one subfolder a class."""
    from PIL import Image

    real = digits()
    for index in np.flatnonzero(real.labels < 3):
        folder = tmp_path / "mine" / ("circle", "stroke", "swan")[real.labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(real.images[index, 0] * 255)).resize((8, 10)).save(folder / f"{index}.png")
    words = (
        "run",
        "pictures",
        "--data",
        "mine",
        "--models",
        "cvae",
        "--refine",
        "best-of-4",
        "--labels",
        "600",
    )
    tolerate(*words, "--proof", "100", "--tolerance", "20%", folder=tmp_path)
    result = summary(tmp_path / "runs" / "pictures")
    assert result["data"]["classes"] == ["circle", "stroke", "swan"]
    assert result["best"][0]["zone"] != "none"
