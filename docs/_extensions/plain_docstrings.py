"""Sphinx extension that turns the project's docstrings, which are plain text, into reStructuredText.

A docstring is prose, examples (`>>>`), indented formulas and lines such as `seed: of the random order`. Prose is
escaped so that `*` or `|` in a formula is not markup, an indented block becomes a literal block, and a line that names
parameters becomes an item of a list. Signatures name array types as the source does.
"""

import inspect
import re
from collections.abc import Container, Iterator
from typing import Any

from docutils import nodes
from numpy.typing import ArrayLike
from sphinx.util.typing import stringify_annotation

FIELD = re.compile(r"^(\w+=?(?:, \w+=?)*): (?=\S)")  # "labels:", "expected, power:", "losses=, scores=:"
CODE = re.compile(r"(`+[^`]+`+)")
NDARRAY = re.compile(r"~?[\w.]*ndarray\[~?[\w.]*tuple\[[^]]*\], ~?[\w.]*dtype\[~?(?:\w+\.)*(\w+)\]\]")
ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")


def setup(app: Any) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("autodoc-process-docstring", _process_docstring)
    app.connect("autodoc-process-signature", _process_signature)
    app.connect("doctree-read", _drop_plain_bases)
    return {"parallel_read_safe": True}


def _process_docstring(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    lines[:] = to_rst(lines, parameter_names(obj))


def _process_signature(
    app: Any, what: str, name: str, obj: object, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    return _name_arrays(signature), _name_arrays(returns)


def _name_arrays(signature: str | None) -> str | None:
    """Write NDArray[float64] and ArrayLike for the types that these names of NumPy stand for."""
    if signature is None:
        return None
    return NDARRAY.sub(r"NDArray[\1]", signature).replace(ARRAY_LIKE, "ArrayLike")


def _drop_plain_bases(app: Any, doctree: nodes.document) -> None:
    """Remove the line "Bases: object", which every class without another base would have."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext() == "Bases: object":
            paragraph.parent.remove(paragraph)


def parameter_names(obj: object) -> set[str]:
    """Return the names that a docstring may explain: parameters of a function, of `__init__`, fields of a class."""
    names = set(getattr(obj, "__annotations__", {})) if isinstance(obj, type) else set()
    try:
        return names | set(inspect.signature(obj).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return names


def to_rst(lines: list[str], names: Container[str] = ()) -> list[str]:
    """Return the reStructuredText of a docstring that is written as plain text; names: those of parameters."""
    return [line for block in _blocks(lines) for line in [*_block_to_rst(block, names), ""]]


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield the parts of a docstring that blank lines separate."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _block_to_rst(block: list[str], names: Container[str]) -> list[str]:
    if block[0].lstrip().startswith(">>>"):
        return block
    if all(line.startswith("    ") for line in block):
        return ["::", "", *block]
    return [_escape(line) for line in _items(block, names)]


def _items(block: list[str], names: Container[str]) -> Iterator[str]:
    """Yield the lines of a paragraph, with list items where parameters or bullets begin."""
    indent, first = "", True
    for line in map(str.strip, block):
        bullet = line.startswith(("- ", "* ")) or re.match(r"\d\. ", line)
        field = FIELD.match(line)
        if field and not all(name.rstrip("=") in names for name in field[1].split(", ")):
            field = None
        if (bullet or field) and not first:
            yield ""
        if bullet:
            yield line
            indent = "   " if line[0].isdigit() else "  "
        elif field:
            yield f"- `{field[1]}`: {line[field.end() :]}"
            indent = "  "
        else:
            yield indent + line
        first = False


def _escape(line: str) -> str:
    """Escape what reStructuredText would read as markup, except code and **bold**."""
    head, text = re.match(r"(\s*(?:[-*] |\d\. )?)(.*)", line, re.S).groups()  # type: ignore[union-attr]
    parts = [part if part.startswith("`") else _escape_prose(part) for part in CODE.split(text)]
    return head + "".join(parts)


def _escape_prose(text: str) -> str:
    text = re.sub(r"(?<!\*)\*(?!\*)", r"\\*", text.replace("\\", "\\\\"))
    return re.sub(r"(\w)_(?!\w)", r"\1\\_", text.replace("|", r"\|"))
