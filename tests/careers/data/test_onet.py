"""Releases of O*NET in folders and zip files."""

import io
import zipfile
from pathlib import Path

import pytest

from tests.support.careers import call_career, write_release
from tolerate.careers.data.onet import Release, read_release
from tolerate.errors import DataError


def test_a_small_write_release_another_version_is_read(tmp_path: Path) -> None:
    text = call_career("data", "--from", str(write_release(tmp_path / "db_30_1_text")))
    assert "O*NET 30.1: 3" in text and "Skills.txt is not in the release" in text
    assert "Pilots" in call_career("show", "pilot") and "Fly aircraft" in call_career("show", "pilot")


def test_a_zip_reads_as_its_folder(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "db_30_1_text")
    packed = tmp_path / "db_30_1_text.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"db_30_1_text/{file.name}")
    from_zip, from_folder = read_release(Release(packed)), read_release(Release(folder))
    assert from_zip.codes == from_folder.codes and from_zip.tasks == from_folder.tasks


def test_a_release_without_its_core_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table Task Statements"):
        Release(write_release(tmp_path / "x", missing=("Task Statements",)))
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a zip file"):
        Release(tmp_path / "no.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "")
    (tmp_path / "other.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="It holds"):
        Release(tmp_path / "other.zip")
