"""The embedded atlas, and a machine without settings or imports."""

from pathlib import Path

import pytest

from tolerate.careers.data.atlas import EMBEDDED, Atlas, load


@pytest.fixture(scope="session")
def embedded_atlas() -> Atlas:
    return load(EMBEDDED)


@pytest.fixture(autouse=True)
def clean_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLERATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOLERATE_LANG", "en")
    monkeypatch.chdir(tmp_path)
