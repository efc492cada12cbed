"""Look-up by name: wherever a listed name is accepted, `package.module:attribute` is too."""

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, TypeVar

from tolerate.base.moved import new_path
from tolerate.errors import OptionError, hint

Entry = TypeVar("Entry")


def attribute(path: str) -> Any:
    """Import the attribute that `package.module:attribute` names; paths of older versions are translated.

    >>> attribute("math:pi")
    3.141592653589793
    """
    module, _, name = new_path(path).partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise OptionError(f'cannot find "{path}": {error}. {_suggestion(error.name or "")}') from None
    except AttributeError:
        raise OptionError(
            f'{module} has no attribute "{name}"; expected "package.module:attribute"'
        ) from None


def entry_named(name: str, entries: Mapping[str, Entry], noun: str) -> Entry:
    """The entry of that name; an unknown name raises OptionError with the known ones and the nearest.

    >>> entry_named("sum", {"sum": 1}, "score")
    1
    """
    check_name(name, entries, noun)
    return entries[name]


def check_name(name: str, names: Collection[str], noun: str) -> None:
    """Raise OptionError for a name that is not among the names, with these and the nearest."""
    if name not in names:
        raise OptionError(f'no {noun} is called "{name}". {hint(name, names)}')


def _suggestion(module: str) -> str:
    """What to install for a missing module, or how such a name is written."""
    if module in {"torch", "safetensors", "accelerate", "torchmetrics", "sklearn", "PIL"}:
        return 'Try: pip install "tolerate[models]"'
    if module in {"transformers", "tokenizers", "peft", "pypinyin"}:
        return 'Try: pip install "tolerate[text]"'
    return 'Expected "package.module:attribute" of an importable module'
