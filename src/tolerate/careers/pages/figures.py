"""Figures of the careers model as text."""

from collections.abc import Callable

from tolerate.careers.data.atlas import Figure
from tolerate.messages.numbers import rough_percent


def format_interval(figure: Figure, form: Callable[[float], str] = rough_percent) -> str:
    """A figure with its interval, such as "1.4% (0.19% – 14%)"; a figure without an interval stands alone."""
    if figure.low == figure.high:
        return form(figure.value)
    return f"{form(figure.value)} ({form(figure.low)} – {form(figure.high)})"


def format_scale(value: float | None) -> str:
    """A value on a scale with two decimals; a dash if it is missing.

    >>> format_scale(0.5), format_scale(None)
    ('0.50', '–')
    """
    return "–" if value is None else f"{value:.2f}"


def format_growth(value: float | None) -> str:
    """Growth in per cent with its sign; a dash if it is missing.

    >>> format_growth(4.25), format_growth(None)
    ('+4.2%', '–')
    """
    return "–" if value is None else f"{value:+.1f}%"
