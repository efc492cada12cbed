"""What tests share: where the shared data is, and one thread a process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Laws run when asked for by `-m law` (make laws); slow tests start first, so that no worker ends alone."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if "law" in (config.getoption("-m") or ""):
        return
    for item in items:
        if item.get_closest_marker("law"):
            item.add_marker(pytest.mark.skip(reason="a long law: run `make laws`"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared real data; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("TOLERATE_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the shared data is absent (looked in {folder}; set TOLERATE_SHARED)")
    return folder


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database of the service, of either kind."""
    from tests.support.service_fakes import database

    yield from database(request.param, tmp_path)
