"""Fields of forms."""

from tolerate.service.openai_format import ApiError


def number_field(form: dict[str, str], name: str) -> float:
    """A number of a form, 0 or more; an empty or absent field is 0."""
    try:
        value = float(form.get(name) or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ApiError(400, f"{name} must be a number, 0 or more")
    return value
