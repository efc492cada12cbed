"""Reading tables: real files, and every way in which a user's file can be wrong."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tolerate.data import tables
from tolerate.errors import DataError


def save(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


ROWS = "id,loss,score,group\na,0,0.5,x\nb,1,,y\nc,0.25,0.75,x\n"


def test_roles_become_arrays(tmp_path: Path) -> None:
    table = tables.read(save(tmp_path, ROWS), score="score", cluster="group", slice="id")
    assert table.losses.tolist() == [0, 1, 0.25]
    assert table.scores is not None and np.isnan(table.scores[1])
    assert table.clusters is not None and table.clusters.tolist() == [0, 1, 0]
    assert table.slices is not None and table.slices.tolist() == ["a", "b", "c"]
    assert table.names == {"loss": "loss", "score": "score", "cluster": "group", "slice": "id"}
    assert table.sha256 == tables.sha256(tmp_path / "t.csv")


def test_formats_agree(tmp_path: Path) -> None:
    """The same rows from CSV, gzipped CSV, JSONL and Parquet are the same table."""
    csv = save(tmp_path, ROWS)
    zipped = tmp_path / "t.csv.gz"
    zipped.write_bytes(gzip.compress(csv.read_bytes()))
    rows = [{"loss": 0.0, "score": 0.5}, {"loss": 1.0, "score": None}, {"loss": 0.25, "score": 0.75}]
    jsonl = save(tmp_path, "\n".join(json.dumps(row) for row in rows), "t.jsonl")
    parquet = tmp_path / "t.parquet"
    tables.write(parquet, {key: [row[key] for row in rows] for key in ("loss", "score")})
    read = [tables.read(path, score="score") for path in (csv, zipped, jsonl, parquet)]
    for table in read[1:]:
        assert np.array_equal(table.losses, read[0].losses)
        assert np.array_equal(table.scores, read[0].scores, equal_nan=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    tables.write(tmp_path / name, {"loss": [0.0, 1.0], "text": ['a,\n"b"', "字"]})
    assert tables.read(tmp_path / name).losses.tolist() == [0, 1]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("loss,score\n", "no rows"),
        ("wrong,score\n1,2\n", 'no column "loss".*Known: wrong, score'),
        ("loss\n0\n1.5\n", r"loss 1.5 in row 2 .*outside \[0, 1\].*divide by"),
        ("loss\n-1\n", "outside"),
        ("loss\n0\nperhaps\n", '"perhaps" in row 2 .*is not a number'),
        ("loss,score\n0,1\n,2\n", "1 of 2 rows .*no loss.*row 2"),
        ("loss,score\n0,1\nNaN,2\n", "no loss"),
        ("loss,loss\n0,1\n", '2 columns named "loss"'),
        ("loss,score\n0,high\n", '"high" in row 1'),
        ("loss,score\n0,1,2\n", "cannot be read as csv"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = save(tmp_path, text)
    with pytest.raises(DataError, match=message):
        tables.read(path, score="score" if "score" in text else None)


def test_names_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        tables.read(tmp_path / "no.csv")
    with pytest.raises(DataError, match="is a folder"):
        tables.read(tmp_path)
    with pytest.raises(DataError, match="no known format"):
        tables.read(save(tmp_path, "x", "t.xlsx"))
    with pytest.raises(DataError, match="cannot be read as parquet"):
        tables.read(save(tmp_path, "loss\n1\n", "t.parquet"))
    with pytest.raises(DataError, match="cannot be read as jsonl"):
        tables.read(save(tmp_path, '{"loss": 1}\n{"lo', "t.jsonl"))


def test_missing_clusters_and_bad_weights(tmp_path: Path) -> None:
    path = save(tmp_path, "loss,g,w\n0,a,1\n1,,0\n")
    with pytest.raises(DataError, match="no cluster"):
        tables.read(path, cluster="g")
    with pytest.raises(DataError, match="weight in row 2"):
        tables.read(path, weight="w")


def test_words_for_verdicts_and_slices_without_a_name(tmp_path: Path) -> None:
    table = tables.read(save(tmp_path, "loss,part\ntrue,a\nFalse,\n"), slice="part")
    assert table.losses.tolist() == [1, 0]
    assert table.slices is not None and table.slices.tolist() == ["a", "(none)"]


def test_a_late_decimal_after_a_megabyte_of_whole_numbers(tmp_path: Path) -> None:
    """Type guesses from the head of a file do not spoil its tail."""
    table = tables.read(save(tmp_path, "loss\n" + "0\n" * 600_000 + "0.5\n"))
    assert len(table) == 600_001 and table.losses[-1] == 0.5


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables.os, "replace", full)
    with pytest.raises(DataError, match="No space left on device"):
        tables.write(tmp_path / "t.csv", {"loss": [0.0]})
    assert list(tmp_path.iterdir()) == []


def test_a_real_table(shared: Path) -> None:
    table = tables.read(
        shared / "labelled" / "maths_gsm8k.csv.gz", loss="error", score="score_agree", cluster="group_id"
    )
    assert len(table) == 5276 and len(np.unique(table.clusters)) == 1319  # type: ignore[arg-type]
    assert round(float(table.losses.mean()), 2) == 0.62
