"""Personal data in texts, found by form and by check digits, and masked by kind.

What has a check digit is masked only if the digit is right, so that order numbers stay. Names and postal addresses
have no form that a rule could find; for those a person or a model must look.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tolerate.base.json_types import JsonValue


@dataclass(frozen=True)
class PersonalData:
    """One piece of personal data: its kind, and where in the text it starts and ends."""

    kind: str
    start: int
    end: int


def _is_card(text: str) -> bool:
    """Whether a card number's last digit is right (ISO/IEC 7812, Luhn)."""
    digits = [int(sign) for sign in re.sub(r"\D", "", text)][::-1]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """Whether an IBAN leaves 1 when divided by 97 (ISO 13616)."""
    plain = re.sub(r"\s", "", text).upper()
    rotated = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in rotated)) % 97 == 1


def _is_citizen_number(text: str) -> bool:
    """Whether the last sign of a Chinese identity number is right (GB 11643)."""
    total = sum(int(sign) * (2 ** (17 - index) % 11) for index, sign in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()


def _is_ip_address(text: str) -> bool:
    return all(int(part) < 256 for part in text.split("."))


# A kind's form and, where it has one, the check of its digits. An earlier kind wins where two overlap. A form begins
# with a class of characters, which the regular expressions of Python search for fast; what must not stand before it
# is looked at afterwards, over that first character: (?<![\d.].).
KINDS: dict[str, tuple[str, Callable[[str], bool] | None]] = {
    "email": (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b", None),
    "iban": (r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _is_iban),
    "citizen": (r"\d(?<!\d.)\d{16}[\dXx](?!\d)", _is_citizen_number),
    "card": (r"\d(?<![\d-].)(?:[ -]?\d){12,18}(?![\d-])", _is_card),
    "ip": (r"\d(?<![\d.].)\d{0,2}(?:\.\d{1,3}){3}(?![\d.])", _is_ip_address),
    "ssn": (  # and a taxpayer's number of the same form, which begins with 9
        r"\d(?<![\d-].)\d\d(?<!000)(?<!666)-"
        r"(?:(?<!9..-)(?!00)\d\d|(?<=9..-)(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9]))-(?!0000)\d{4}(?![\d-])",
        None,
    ),
    "phone": (
        r"[+(\d](?<![\d.].)(?:"
        r"(?<=\+)\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}|"  # international
        r"(?<=\()\d{3}\) ?\d{3}[-.]\d{4}|(?<=\d)\d{2}[-.]\d{3}[-.]\d{4}|"  # North America
        r"(?:(?<=\()\d|(?<=\d))\d{2}\)?[ -]\d{3,4}[ -]?\d{4}|"  # area code and number, as in China
        r"(?<=1)[3-9]\d{9})(?!\d|\.\d)",  # a Chinese mobile
        None,
    ),
}
_PATTERNS = {kind: (re.compile(form), is_valid) for kind, (form, is_valid) in KINDS.items()}
_POSSIBLE = re.compile(r"[\d@]")  # every kind has one of these


def find_personal_data(text: str) -> list[PersonalData]:
    """The personal data of a text, in order; no two pieces overlap."""
    if _POSSIBLE.search(text) is None:
        return []
    pieces: list[PersonalData] = []
    for kind, (pattern, is_valid) in _PATTERNS.items():
        for match in pattern.finditer(text):
            start, end = match.span()
            free = all(end <= piece.start or start >= piece.end for piece in pieces)
            if free and (is_valid is None or is_valid(match.group())):
                pieces.append(PersonalData(kind, start, end))
    return sorted(pieces, key=lambda piece: piece.start)


def mask_personal_data(text: str) -> str:
    """A text with its personal data masked by kind.

    >>> mask_personal_data("Write to ann@example.org or 010-555-0100, order 4111 1111 1111 1112.")
    'Write to [email] or [phone], order 4111 1111 1111 1112.'
    """
    parts, position = [], 0
    for piece in find_personal_data(text):
        parts += [text[position : piece.start], f"[{piece.kind}]"]
        position = piece.end
    return "".join([*parts, text[position:]]) if parts else text


def mask_json(value: JsonValue) -> JsonValue:
    """A JSON value with the personal data in its strings masked; names of fields and numbers stay.

    >>> mask_json({"choices": [{"text": "call 13912345678"}], "created": 13912345678})
    {'choices': [{'text': 'call [phone]'}], 'created': 13912345678}
    """
    if isinstance(value, str):
        return mask_personal_data(value)
    if isinstance(value, dict):
        return {name: mask_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [mask_json(item) for item in value]
    return value
