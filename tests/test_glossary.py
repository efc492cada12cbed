"""Every name in the glossary's code column is defined in the source."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tolerate"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| word ")
]
NAMES = [(row[0], name) for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])]


def names_in(node: ast.AST) -> dict[str, ast.AST]:
    """The classes, functions, arguments and variables that a module or class defines or imports, by name."""
    names: dict[str, ast.AST] = {}
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[child.name] = child
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            names[child.target.id] = child
        elif isinstance(child, ast.Assign):
            names |= {target.id: child for target in child.targets if isinstance(target, ast.Name)}
    return names


def is_defined(path: str) -> bool:
    """Whether a dotted path below `tolerate` is a package, a module, or a name in one.

    >>> is_defined("records.Job"), is_defined("records.Crew")
    (True, False)
    """
    parts, folder = path.split("."), SOURCE
    while parts and (folder / parts[0]).is_dir():
        folder /= parts.pop(0)
    file = (
        folder / f"{parts.pop(0)}.py"
        if parts and (folder / f"{parts[0]}.py").exists()
        else folder / "__init__.py"
    )
    node: ast.AST = ast.parse(file.read_text("utf-8"))
    for part in parts:
        names = names_in(node)
        if part not in names:
            return False
        node = names[part]
    return True


@pytest.mark.parametrize(("word", "name"), NAMES, ids=[name for _, name in NAMES])
def test_the_code_has_the_word(word: str, name: str) -> None:
    assert is_defined(name), f"{word}: src/tolerate defines no {name}"


def test_a_word_is_listed_once_and_in_both_languages() -> None:
    words = [row[0] for row in ROWS if not row[0].startswith("--")]
    assert len(set(words)) == len(words) > 60
    assert all(re.search(r"[\u4e00-\u9fff]", row[1]) for row in ROWS if not row[0].startswith("--"))
