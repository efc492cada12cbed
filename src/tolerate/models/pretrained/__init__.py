"""Pretrained models: loading, tuning, adapters."""

from tolerate.base.moved import moved_attribute


def __getattr__(name: str) -> object:
    """`Pretrained` under its path of version 0.1, when this package was a module."""
    if name != "Pretrained":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return moved_attribute(__name__, name)
