"""Reading JSON that may be incomplete: a value that is missing, null or of the wrong type is read as absent."""

from collections.abc import Callable, Mapping
from math import isfinite, nan
from typing import TypeAlias, TypeVar

from tolerate.base.json_types import JsonObject, JsonValue

LocalizedText: TypeAlias = str | Mapping[str, str]  # one text for every language, or one by language code
T = TypeVar("T")


def object_of(value: object) -> JsonObject:
    """The JSON object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def records_of(value: object, read: Callable[[JsonObject], T | None]) -> tuple[T, ...]:
    """The objects of a JSON array, each read into a record; elements that are none are left out."""
    elements = value if isinstance(value, list | tuple) else ()
    records = (read(element) for element in elements if isinstance(element, Mapping))
    return tuple(record for record in records if record is not None)


def record_of(value: object, read: Callable[[JsonObject], T]) -> T | None:
    """The record of a JSON object; None where there is no object, or an empty one."""
    return read(value) if isinstance(value, Mapping) and value else None


def number_of(value: object) -> float | None:
    """A finite number, an integer staying one; else None."""
    return (
        value if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None
    )


def integer_of(value: object) -> int | None:
    """A finite number as an integer; else None."""
    number = number_of(value)
    return None if number is None else int(number)


def float_of(value: object) -> float:
    """A finite number; else NaN."""
    number = number_of(value)
    return nan if number is None else number


def text_of(value: object) -> LocalizedText:
    """A text, or one by language; empty where there is none."""
    if isinstance(value, Mapping):
        return {str(lang): str(text) for lang, text in value.items()}
    return "" if value is None else str(value)


def string_of(value: object) -> str:
    """A text in one language; empty where there is none."""
    return "" if value is None else str(value)


def texts_of(value: object) -> tuple[LocalizedText, ...]:
    """The texts of a JSON array."""
    return tuple(text_of(item) for item in value) if isinstance(value, list | tuple) else ()


def without_none(**values: JsonValue) -> dict[str, JsonValue]:
    """The keys whose values are not None."""
    return {key: value for key, value in values.items() if value is not None}
