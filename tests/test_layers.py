"""Imports go down: the syntax trees say who may know whom, and which library lives where."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "tolerate"

# A module may import from its own floor's place and from those below it.
FLOORS: list[set[str]] = [
    {"errors"},
    {"records", "words", "named", "crew"},
    {"stats"},
    {"tables", "folder", "checks", "refine", "partition", "on_ray"},
    {"models", "store"},
    {"jobs", "run", "summary", "report", "ask", "comparison"},
    {"gateway", "careers"},
    {"cli", "console", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
SIDEWAYS = {
    "jobs",
    "run",
    "summary",
    "ask",
    "report",
    "records",
    "words",
    "tables",
    "partition",
    "on_ray",
    "folder",
    "checks",
    "refine",
    "cli",
    "__main__",
    "console",
}  # may meet on their floor
LIBRARIES = {  # library -> the only places that may import it
    "torch": {"models"},
    "torchmetrics": {"models"},
    "accelerate": {"models"},
    "safetensors": {"models"},
    "transformers": {"models"},
    "tokenizers": {"models"},
    "huggingface_hub": {"models"},
    "peft": {"models"},
    "tensorboard": {"models"},
    "pyarrow": {"tables"},
    "ray": {"on_ray"},
    "jinja2": {"report", "gateway", "careers"},
    "psycopg": {"store"},
    "orjson": {"store", "gateway"},
    "aiohttp": {"gateway"},
    "httptools": {"gateway"},
    "uvicorn": {"gateway"},
    "prometheus_client": {"gateway"},
    "typer": {"cli"},
    "rich": {"console", "report"},
}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "tolerate":
                yield from (f"tolerate.{name.name}" for name in node.names)
            else:
                yield node.module or ""


def place(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if place(path) != "__init__"]


def faults(here: str, source: str) -> list[str]:
    """What a module at this place imports and must not."""
    found = []
    for name in imports(ast.parse(source)):
        top, _, rest = name.partition(".")
        there = rest.split(".")[0]
        if top == "tolerate" and there in LEVEL and there != here:
            below = LEVEL[there] < LEVEL[here]
            beside = LEVEL[there] == LEVEL[here] and {here, there} <= SIDEWAYS
            if not below and not beside:
                found.append(f"{here} imports {name}, which is not below it")
        if here not in LIBRARIES.get(top, {here}):
            found.append(f"{here} imports {top}, which lives in {LIBRARIES[top]}")
        if here == "stats" and top not in {"numpy", "scipy", "tolerate", *sys_modules()}:
            found.append(f"stats imports {top}; it may use numpy and scipy alone")
    return found


def sys_modules() -> set[str]:
    import sys

    return set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    assert place(path) in LEVEL, f"{path.name} has no floor: give it one in {Path(__file__).name}"
    assert faults(place(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("here", "source"),
    [
        ("stats", "import tolerate.data.tables"),
        ("stats", "from tolerate import run"),
        ("stats", "import pandas"),
        ("checks", "import torch"),
        ("models", "def f():\n    from tolerate.service import app"),
        ("careers", "from tolerate.service import app"),
    ],
)
def test_a_broken_floor_is_seen(here: str, source: str) -> None:
    assert faults(here, source)


def test_stats_import_quickly_and_alone() -> None:
    """`tolerate.stats` is usable with numpy and scipy: nothing else of the house's libraries is loaded."""
    import subprocess
    import sys

    heavy = ("torch", "pyarrow", "typer", "scipy.stats")
    code = f"import sys, tolerate.stats; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
