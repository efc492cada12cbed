"""Personal data that a job asks to hide before anything is stored: addresses, numbers of phones, cards and people."""

import re

PATTERNS = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+\w")),
    ("id", re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")),  # China's resident number
    ("card", re.compile(r"(?<!\d)(?:\d[ -]?){13,18}\d(?!\d)")),
    ("ssn", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")),
    (
        "phone",
        re.compile(r"(?<![\d.])(?:\+\d{1,3}[ -]?)?(?:1[3-9]\d{9}|\(?\d{3}\)?[ -]\d{3,4}[ -]?\d{4})(?!\d)"),
    ),
    ("ip", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")),
)


def mask(text: str) -> str:
    """The text with what looks personal replaced by its kind.

    >>> mask("write to ann@example.org or call 13912345678")
    'write to [email] or call [phone]'
    """
    for name, pattern in PATTERNS:
        text = pattern.sub(f"[{name}]", text)
    return text
