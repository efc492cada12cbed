"""The documentation site builds in strict mode: no broken link, no docstring that cannot be shown, no page left out."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tolerate

DOCS = Path(__file__).resolve().parent.parent / "docs"
MODULES = ("sphinx", "furo", "myst_parser", "torch", "transformers")  # autodoc imports what it documents
MISSING = [name for name in MODULES if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (the extra docs)")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-E",
        "-W",
        "--keep-going",
        "-d",
        str(tmp_path / "state"),
    ]
    done = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "site")], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site/api/index.html").read_text("utf-8")
    assert [name for name in tolerate.__all__ if f">{name}<" not in reference] == []
    architecture = (tmp_path / "site/architecture.html").read_text("utf-8")
    assert len(re.findall(r'<img [^>]*src="[^"]+\.svg"', architecture)) == 2
