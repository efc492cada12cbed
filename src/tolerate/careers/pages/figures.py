"""Figures of the careers model as text."""

from collections.abc import Callable

from tolerate.careers.data.atlas import Figure
from tolerate.messages.numbers import rough_percent


def span(figure: Figure, form: Callable[[float], str] = rough_percent) -> str:
    """A figure with its interval: "1.4% (0.19% – 14%)"; without one where it has none."""
    if figure.low == figure.high:
        return form(figure.value)
    return f"{form(figure.value)} ({form(figure.low)} – {form(figure.high)})"
