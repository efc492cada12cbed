"""Every listed job is whole: its record names things that exist, and the documentation describes it."""

from pathlib import Path

import pytest

from tolerate.base.registry import attribute
from tolerate.jobs import JOBS, job
from tolerate.modality import find_modality
from tolerate.models.registry import model_path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = "\n".join(path.read_text("utf-8") for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", JOBS)
def test_a_job_names_what_exists(name: str) -> None:
    record = job(name)
    assert record.name == name and set(record.title) == {"en", "zh"} and all(record.title.values())
    assert callable(attribute(record.workshop))
    assert record.tolerance in record.tolerances and 0 < record.confidence < 1
    assert list(record.tolerances) == sorted(record.tolerances, reverse=True)
    assert find_modality(record.modality).name == record.modality
    if record.modality == "pictures":
        assert all(model_path(model) for model in record.models)


@pytest.mark.parametrize("name", JOBS)
def test_a_jobs_documentation_says_how_to_run_it(name: str) -> None:
    assert f"tolerate run {name}" in PAGES, f"docs/*.md never says: tolerate run {name}"
    assert job(name).example.startswith(f"tolerate run {name}") or not job(name).needs_data
