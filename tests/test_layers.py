"""Imports go down: the syntax trees say, file by file, who may import whom, and which library lives where.

A file may import files of its own package (folder) and of lower layers. Imports inside functions and for type checking
count as well. No circle between files, no package of one modality imports another's, at most 20 modules a package.
"""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "tolerate"

# From the lowest layer up; a name stands for a package with its sub-packages, or for one module. The longest
# matching name counts. Names in one line are side by side: they may not import each other.
LAYERS: list[set[str]] = [
    {"errors", "version"},
    {"base"},
    {"records"},
    {"llm", "refine"},
    {"refine.texts"},
    {"messages"},
    {"modality"},
    {"store"},
    {"stats"},
    {"stats.certify"},
    {"stats.audit"},
    {"stats.compare"},
    {"stats.monitor"},
    {"stats.verification"},
    {"data"},
    {"report"},
    {"checks"},
    {"checks.pictures", "checks.texts"},
    {"models"},
    {"models.training"},
    {"models.pictures", "models.texts"},
    {"models.pictures.evaluation", "models.pretrained"},
    {"models.writers"},
    {"runs"},
    {"jobs.pictures", "jobs.texts"},
    {"jobs"},
    {"careers", "careers.data"},
    {"careers.model"},
    {"careers.person"},
    {"careers.planning"},
    {"careers.pages"},
    {"service.config", "service.openai_format", "service.database_reader"},
    {"service.http"},
    {"service.upstream"},
    {"service.decide"},
    {"service.watch"},
    {"service.host"},
    {"service.desk"},
    {"service.local"},
    {"service"},
    {"cli"},
    {"__main__"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
MODALITIES = (
    "pictures",
    "texts",
)  # sub-packages of models, checks, jobs and refine that never import each other's
MAX_MODULES = 20  # a package, its __init__ not counted
DECLARED = {  # the only imports upwards: importer -> imported, each with its reason
    ("records", "messages"),  # str(certificate) is its sentence; imported when first printed
}
LIBRARIES = {  # library -> the packages and modules that may import it
    "torch": {"models"},
    "torchmetrics": {"models"},
    "accelerate": {"models"},
    "safetensors": {"models"},
    "transformers": {"models"},
    "tokenizers": {"models"},
    "huggingface_hub": {"models"},
    "peft": {"models"},
    "tensorboard": {"models"},
    "pyarrow": {"data"},
    "ray": {"data"},
    "jinja2": {"report", "service", "careers"},
    "psycopg": {"store"},
    "orjson": {"store", "service", "llm"},
    "aiohttp": {"service"},
    "httptools": {"service"},
    "uvicorn": {"service"},
    "prometheus_client": {"service"},
    "typer": {"cli"},
    "rich": {"cli", "report"},
}


def module_name(path: Path) -> str:
    """Dotted name below `tolerate`; a package's own `__init__` has the package's name, the top one "tolerate"."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts) or "tolerate"


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(tree: ast.AST, modules: Mapping[str, object] = MODULES) -> Iterator[str]:
    """Every module that a syntax tree imports: below `tolerate` without that prefix, others by full name with "!"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name.name}" for name in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top != "tolerate":
                yield f"!{name}"
                continue
            while rest and rest not in modules:
                rest = rest.rpartition(".")[0]
            yield rest or "tolerate"


def layer(module: str) -> tuple[str, int]:
    """The name in LAYERS that a module belongs to, and its height."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LEVELS:
            return prefix, LEVELS[prefix]
    raise AssertionError(f"{module} has no layer: give it one in {Path(__file__).name}")


def modality(module: str) -> str | None:
    return next((part for part in module.split(".")[1:] if part in MODALITIES), None)


def faults(module: str, source: str) -> list[str]:
    """What a module of this name imports and must not."""
    unit, height = layer(module)
    messages = []
    for name in imports(ast.parse(source)):
        if name.startswith("!"):
            messages += _library_faults(module, name[1:].partition(".")[0])
        elif name == "tolerate":
            messages.append(f"{module} imports the top package; import the module that defines the name")
        elif name != module and (unit, layer(name)[0]) not in DECLARED:
            other_unit, other_height = layer(name)
            same_package = module.rpartition(".")[0] == name.rpartition(".")[0] and unit == other_unit
            if not (other_height < height or same_package or unit == other_unit):
                messages.append(f"{module} imports {name}, which is not in a lower layer")
            if modality(module) and modality(name) and modality(module) != modality(name):
                messages.append(f"{module} imports {name}, which belongs to another modality")
    return messages


def _library_faults(module: str, library: str) -> list[str]:
    top = module.partition(".")[0]
    if library in LIBRARIES and top not in LIBRARIES[library]:
        return [f"{module} imports {library}, which lives in {', '.join(LIBRARIES[library])}"]
    if top == "stats" and library not in {"numpy", "scipy", *sys.stdlib_module_names}:
        return [f"{module} imports {library}; stats may use numpy and scipy alone"]
    return []


@pytest.mark.parametrize("module", [name for name in MODULES if name != "tolerate"])
def test_imports_go_down(module: str) -> None:
    assert faults(module, MODULES[module].read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stats.bounds", "import tolerate.data.tables"),
        ("stats.bounds", "from tolerate.stats.certify import threshold"),
        ("stats.bounds", "import pandas"),
        ("stats.bounds", "from tolerate import certify"),
        ("checks.texts.maths", "import torch"),
        ("models.base", "def f():\n    from tolerate.service import app"),
        ("careers.pages.page", "from tolerate.service import app"),
        (
            "jobs.texts.poems",
            "from tolerate.data import pictures\nfrom tolerate.jobs.pictures import workshop",
        ),
        ("jobs.texts.poems", "from tolerate.models.pictures.vae import VAE"),
    ],
)
def test_a_broken_layer_is_noticed(module: str, source: str) -> None:
    assert faults(module, source)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other in a circle (strongly connected components, Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for name in sorted(graph.get(module, ())):
            if name not in order:
                visit(name)
                low[module] = min(low[module], low[name])
            elif name in stack:
                low[module] = min(low[module], order[name])
        if low[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for module in sorted(graph):
        if module not in order:
            visit(module)
    return groups


def test_no_circle_between_files() -> None:
    graph = {
        module: {
            name
            for name in imports(ast.parse(path.read_text("utf-8")))
            if not name.startswith("!")
            and name != module
            and (layer(module)[0], layer(name)[0] if name != "tolerate" else "") not in DECLARED
        }
        for module, path in MODULES.items()
        if module != "tolerate"
    }
    assert circles(graph) == []


def test_a_circle_is_noticed() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_package_grows_past_its_limit() -> None:
    sizes = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    assert {str(package.relative_to(SOURCE)): n for package, n in sizes.items() if n > MAX_MODULES} == {}


def test_stats_import_quickly_and_alone() -> None:
    """`tolerate.stats` is usable with numpy and scipy: no other library of the project is loaded."""
    heavy = ("torch", "pyarrow", "typer", "scipy.stats")
    modules = "tolerate.stats.certify.threshold, tolerate.stats.audit.audit, tolerate.stats.monitor.watch"
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
