"""Things found by name: wherever a listed name is accepted, `package.module:attribute` is too."""

from importlib import import_module
from typing import Any

from tolerate.errors import OptionError


def attribute(path: str) -> Any:
    """What `package.module:attribute` names.

    >>> attribute("math:pi")
    3.141592653589793
    """
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise OptionError(f'cannot find "{path}": {error}. {_try(error.name or "")}') from None
    except AttributeError:
        raise OptionError(
            f'{module} has no attribute "{name}"; expected "package.module:attribute"'
        ) from None


def _try(module: str) -> str:
    """What to install for a missing module, or how such a name is written."""
    if module in {"torch", "safetensors", "accelerate", "torchmetrics", "sklearn", "PIL"}:
        return 'Try: pip install "tolerate[models]"'
    if module in {"transformers", "tokenizers", "peft", "pypinyin"}:
        return 'Try: pip install "tolerate[text]"'
    return 'Expected "package.module:attribute" of an importable module'
