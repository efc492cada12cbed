"""The version is stated twice: in the package and in `pyproject.toml`."""

import ast
import tomllib
from pathlib import Path

import tolerate
from tolerate.version import __version__

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "tolerate"


def test_both_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__ == tolerate.__version__


def test_no_module_of_the_package_imports_its_top() -> None:
    """The public names are for users; inside, a module is imported from where it is."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "tolerate" not in names, path
            if isinstance(node, ast.ImportFrom) and node.module == "tolerate":
                assert all((PACKAGE / alias.name).is_dir() for alias in node.names), path
