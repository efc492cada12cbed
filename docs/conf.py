"""Configuration of the documentation site. `make docs` builds it with Sphinx in strict mode into build/docs."""

import os
import re
import sys
from pathlib import Path
from typing import Any, TypeVar

from docutils import nodes
from sphinx.addnodes import pending_xref

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SOURCE = ROOT / "src" / "tolerate"
REPOSITORY = "https://github.com/tolerate-project/tolerate"
sys.path[:0] = [str(ROOT / "src"), str(DOCS / "_extensions")]

project = "tolerate"
author = "The tolerate authors"
copyright = "The tolerate authors"
html_title = "tolerate"
extensions = ["myst_parser", "sphinx.ext.autodoc", "plain_docstrings"]
nitpicky = True

html_theme = "furo"
html_copy_source = False
html_show_copyright = False

myst_heading_anchors = 4  # so that links such as audit.md#at-the-desk work as on GitHub

# The packages and modules that people import from or extend; each package has a page in the reference.
PUBLIC = [
    "errors.py",
    "records.py",
    "modality.py",
    "data",
    "stats",
    "refine",
    "checks",
    "models",
    "llm",
    "runs",
    "jobs",
    "service/decide",
]
HAS_A_PAGE = re.compile(
    rf"tolerate[.]({'|'.join(name.removesuffix('.py').replace('/', '[.]') for name in PUBLIC)})\b"
)
default_role = "code"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_use_type_comments = False
toc_object_entries = False  # a sidebar with every function would take most of the build

# Files of the repository's root that are pages of the site.
ROOT_PAGES = {
    "README.md": "index",
    "README.zh.md": "zh",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
}
BELOW = {"decisions/README": "0*"}  # page -> the pages that the sidebar shows below it
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")  # the file that a Markdown link leads to


def setup(app: Any) -> None:
    """Register what this project adds to a build."""
    app.connect("builder-inited", write_reference)
    app.connect("source-read", adapt_page)
    app.connect("doctree-read", unlink_annotations)


def write_reference(app: Any) -> None:
    """Write a page for each public package: its docstring, then its modules in alphabetical order."""
    folder = Path(app.srcdir) / "api" / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{_module(path)}.rst": _reference_page(path) for path in _public_files()}
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:  # an unchanged page is not built again
            path.write_text(text, "utf-8")


def _public_files() -> list[Path]:
    paths = [SOURCE / name for name in PUBLIC]
    packages = [file for path in paths if path.is_dir() for file in sorted(path.rglob("__init__.py"))]
    return [*packages, *(path for path in paths if path.is_file())]


def _reference_page(path: Path) -> str:
    modules = [path]
    if path.name == "__init__.py":
        modules += sorted(module for module in path.parent.glob("*.py") if module != path)
    return "".join(_reference_section(module, "=" if module == path else "-") for module in modules)


def _reference_section(module: Path, underline: str) -> str:
    title = _module(module).removeprefix("tolerate.")
    return f"{title}\n{underline * len(title)}\n\n.. automodule:: {_module(module)}\n\n"


def _module(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def adapt_page(app: Any, page: str, source: list[str]) -> None:
    """Put the root's files into their pages, and let every link lead to a page of the site or into the repository."""
    shown = next((ROOT / name for name, at in ROOT_PAGES.items() if at == page), None)
    if shown is not None:
        app.env.note_dependency(str(shown))
        source[0] = _relink(shown.read_text("utf-8"), ROOT, DOCS) + "\n" + source[0]
    elif not page.startswith("api/modules/"):
        folder = (DOCS / page).parent
        source[0] = _relink(source[0], folder, folder)
    if page in BELOW:
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{BELOW[page]}\n```\n"


def _relink(text: str, read_in: Path, shown_in: Path) -> str:
    """The text of a Markdown file that lies in one folder, with the links that it needs as a page in another."""

    def relink(link: re.Match[str]) -> str:
        target = (read_in / link[1]).resolve()
        name = target.relative_to(ROOT).as_posix()
        if name in ROOT_PAGES:
            target = DOCS / f"{ROOT_PAGES[name]}.md"
        elif not target.is_relative_to(DOCS) or target.is_dir():
            return f"{REPOSITORY}/blob/main/{name}"
        return os.path.relpath(target, shown_in)

    return LINK.sub(relink, text)


def unlink_annotations(app: Any, doctree: nodes.document) -> None:
    """Make plain text of annotations that have no entry here: types of libraries, private classes, type variables."""
    for link in list(doctree.findall(pending_xref)):
        if link.get("refdomain") == "py" and not _has_entry(link.get("reftarget", "")):
            link.replace_self(link.children)


def _has_entry(target: str) -> bool:
    module, _, name = target.rpartition(".")
    type_variable = isinstance(getattr(sys.modules.get(module), name, None), TypeVar)
    return bool(HAS_A_PAGE.match(target)) and not name.startswith("_") and not type_variable
