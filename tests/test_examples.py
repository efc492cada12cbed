"""Each script in `examples/` runs in a process of its own, prints what it should, and uses public names only."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tolerate

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXPECTED = {  # script -> lines, or beginnings of lines, of what it prints
    "certify_table.py": (
        "an answer with confidence 0.99: release",
        "an answer with confidence 0.30: review",
        "verified: True",
    ),
    "audit_batch.py": ("Every item of this batch of 10,000 may be released", "labels used: "),
    "compare_strategies.py": ("the cheapest: small > large", "the small model is unsure (0.10): escalate"),
    "watch_stream.py": ("answer 2", "still proven: False"),
    "generate_and_certify.py": ("600 items in drawings", "This rests on 600 labelled items"),
    "own_filter.py": ("Draw a digit on request: with cvae, best of 4",),
}
SLOW = {"generate_and_certify.py", "own_filter.py"}  # they train a model


def test_every_script_is_listed() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert scripts == set(EXPECTED)
    assert [name for name in scripts if f"({name})" not in readme] == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in EXPECTED]
)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    if name in SLOW:
        pytest.importorskip("torch")
    environment = {**os.environ, "TOLERATE_LANG": "en"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for start in EXPECTED[name]:
        assert any(line.startswith(start) for line in lines), f'no line starts with "{start}":\n{done.stdout}'


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_uses_public_names_only(name: str) -> None:
    tree = ast.parse((EXAMPLES / name).read_text("utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tol"
    }
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert used <= set(tolerate.__all__)
    assert [module for module in imported if (module or "").startswith("tolerate.")] == []
