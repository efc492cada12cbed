"""Personal data in texts, found by form and by check digits, and masked.

What has a check digit is masked only if it is right, so that order numbers stay. Names and addresses have no form
that a rule could find; for those a person or a model must look.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """One piece of personal data: what kind, from where to where."""

    kind: str
    start: int
    end: int


def _luhn(text: str) -> bool:
    """Whether a card number's last digit is right (ISO/IEC 7812)."""
    digits = [int(sign) for sign in re.sub(r"\D", "", text)][::-1]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + doubled) % 10 == 0


def _iban(text: str) -> bool:
    """Whether an IBAN leaves 1 when divided by 97 (ISO 13616)."""
    plain = re.sub(r"\s", "", text).upper()
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def _citizen(text: str) -> bool:
    """Whether the last sign of a Chinese identity number is right (GB 11643)."""
    total = sum(int(sign) * (2 ** (17 - at) % 11) for at, sign in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _address(text: str) -> bool:
    return all(int(part) < 256 for part in text.split("."))


KINDS: dict[str, tuple[str, Callable[[str], bool] | None]] = {
    "email": (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b", None),
    "iban": (r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _iban),
    "citizen": (r"(?<!\d)\d{17}[\dXx](?!\d)", _citizen),
    "card": (r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])", _luhn),
    "ip": (r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", _address),
    "ssn": (r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])", None),
    "phone": (
        r"(?<![\d.])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}|"
        r"\(\d{3}\) ?\d{3}[-.]\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|"
        r"1[3-9]\d{9})(?![\d.]\d)",
        None,
    ),
}
_FORMS = {kind: (re.compile(form), right) for kind, (form, right) in KINDS.items()}


def find_private(text: str) -> list[Found]:
    """The personal data of a text, in order; none overlaps another."""
    found: list[Found] = []
    for kind, (form, right) in _FORMS.items():
        for match in form.finditer(text):
            apart = all(match.end() <= one.start or match.start() >= one.end for one in found)
            if apart and (right is None or right(match.group())):
                found.append(Found(kind, match.start(), match.end()))
    return sorted(found, key=lambda one: one.start)


def mask(text: str) -> str:
    """A text with its personal data masked by kind.

    >>> mask("Write to ann@example.org or 010-555-0100, order 4111 1111 1111 1112.")
    'Write to [email] or [phone], order 4111 1111 1111 1112.'
    """
    parts, at = [], 0
    for one in find_private(text):
        parts += [text[at : one.start], f"[{one.kind}]"]
        at = one.end
    return "".join([*parts, text[at:]])
