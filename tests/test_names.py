"""Names say what they hold: empty variable names, participles as functions, and class names used twice are counted."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "tolerate"
FOLDERS = [SOURCE, ROOT / "tests", ROOT / "benchmarks", ROOT / "examples"]

# Names that say nothing about what a variable holds or what a function does.
EMPTY_NAMES = {
    *(
        "found",
        "given",
        "made",
        "told",
        "said",
        "known",
        "asked",
        "wanted",
        "each",
        "one",
        "at",
        "kept",
        "seen",
    ),
    *(
        "here",
        "there",
        "parted",
        "stepped",
        "alike",
        "taken",
        "bottomed",
        "tupled",
        "opened",
        "closed",
        "walked",
    ),
}
EMPTY_CONSTANTS = {
    "MOST",
    "LEAST",
    "SOME",
    "FEW",
    "MANY",
    "EVERY",
    "ENOUGH",
    "FINER",
    "HASTE",
    "AGAIN",
    "LOOKING",
    "ANY",
}
MAX_EMPTY_PER_1000_LINES = 0.5
MAX_DUPLICATE_CLASSES = 3
MAX_ANY = 190
MAX_PARAMETERS = 8  # of a function, `self` not counted


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a syntax tree binds (variables, parameters, functions, attributes of self), with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.ExceptHandler) and node.name
        ):
            yield node.name, node.lineno


def empty_names(source: str) -> list[str]:
    """The empty names that a source text binds, each with its line."""
    return [
        f"{line}: {name}"
        for name, line in names(ast.parse(source))
        if name.lstrip("_") in EMPTY_NAMES or name.lstrip("_") in EMPTY_CONSTANTS
    ]


@pytest.mark.parametrize(
    "folder", [folder for folder in FOLDERS if folder.is_dir()], ids=lambda path: path.name
)
def test_variables_are_named_for_what_they_hold(folder: Path) -> None:
    sources = {path: path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}
    uses = [
        f"{path.relative_to(ROOT)}:{use}" for path, source in sources.items() for use in empty_names(source)
    ]
    lines = sum(source.count("\n") for source in sources.values())
    assert len(uses) <= MAX_EMPTY_PER_1000_LINES * lines / 1000, "\n".join(uses)


def test_an_empty_name_is_noticed() -> None:
    assert empty_names("def kept(given):\n    found = [each for each in given]\n") == [
        "1: kept",
        "1: given",
        "2: found",
        "2: each",
    ]


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text("utf-8"))


def test_a_class_name_is_used_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path}:{node.lineno}")
    duplicates = {name: where for name, where in places.items() if len(where) > 1}
    assert len(duplicates) <= MAX_DUPLICATE_CLASSES, duplicates


def test_any_stays_rare() -> None:
    uses = [
        f"{path}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "Any"
    ]
    assert len(uses) <= MAX_ANY, len(uses)


# Public API: names in `tolerate.__all__`, their constructors, and what users write as options of a model's name.
PUBLIC = {
    "stats/certify/threshold.py:certify",
    "stats/compare/strategies.py:compare",
    "stats/audit/audit.py:Audit.__init__",
}


def test_functions_take_few_parameters() -> None:
    long = []
    for path, tree in trees():
        for parent in ast.walk(tree):
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    arguments = node.args
                    count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
                    count -= bool(arguments.args) and arguments.args[0].arg in ("self", "cls")
                    owner = f"{parent.name}." if isinstance(parent, ast.ClassDef) else ""
                    name = f"{path}:{owner}{node.name}"
                    if count > MAX_PARAMETERS and not path.startswith("cli/") and name not in PUBLIC:
                        long.append(f"{name} has {count} parameters")
    assert long == []


def test_no_optional_method_is_probed() -> None:
    """`getattr(x, "name", default)` with a literal name asks whether a method exists; a protocol says it."""
    probes = [
        f"{path}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) == 3
        and isinstance(node.args[1], ast.Constant)
        and path.startswith(("runs/", "jobs/", "report/"))
    ]
    assert probes == []
