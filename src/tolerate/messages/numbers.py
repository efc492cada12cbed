"""Formatting of numbers for people: shares, thresholds, costs and times. No other module formats them.

A measured share is rounded to the nearest; a tolerance or an upper bound never reads smaller than it is, a confidence
never larger, and a threshold is written with all its digits: read back, it is the same rule.
"""

import math
import sys
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal, TypeGuard

from tolerate.messages.both import Both, both

LOWEST = -sys.float_info.max  # as a threshold it releases whatever has a score
SHORTER_DIGITS = 4  # a threshold is named by the number just below it where this saves so many digits
EXACT_DIGITS = 4  # a bound with at most so many digits is written as it is, never rounded
NOISE_DIGITS = 12  # what differs from a shorter number after so many digits is noise of the arithmetic

Toward = Literal["nearest", "up", "down"]

UNITS = {
    "cent": Both("cents", "分"),
    "cents": Both("cents", "分"),
    "$/million": Both("$ per million", "美元/百万件"),
    "s": Both("s", "秒"),
    "seconds": Both("seconds", "秒"),
}


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value from outside is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def percent(value: object, toward: Toward = "nearest", rough: bool = False) -> str:
    """A share as per cent: tenths, two digits below 1%; what is not quite everything never reads 100%.

    toward: "up" for tolerances and upper bounds, "down" for confidences: these are written exactly where they have few
        digits, and are otherwise rounded to that side.
    rough: two significant digits, for estimates that are worth no more.

    >>> percent(0.02), percent(0.0005), percent(0.6437), percent(1.0), percent(0.99999), percent(None)
    ('2%', '0.05%', '64.4%', '100%', '99.9%', '–')
    >>> percent(0.0104, "up"), percent(0.01449, "up"), percent(1 / 3, "up")
    ('1.04%', '1.449%', '33.4%')
    >>> percent(0.9975, "down"), percent(2 / 3, "down")
    ('99.75%', '66.6%')
    >>> percent(0.6437, rough=True), percent(0.0139, rough=True), percent(0.996, rough=True)
    ('64%', '1.4%', '99.6%')
    """
    if not is_number(value):
        return "–"
    if toward != "nearest":
        return f"{_toward(value, toward)}%"
    points = 100 * value
    if 0 < points < 1:
        return f"{points:.2g}%"
    if rough and points <= 99:
        return f"{digits(points, 2)}%"
    tenths = round(points, 1)
    return f"{99.9 if tenths == 100 and value < 1 else tenths:g}%"


def rough_percent(value: object) -> str:
    """A share as per cent with two significant digits, for estimates that are worth no more.

    >>> rough_percent(0.0139), rough_percent(0.5), rough_percent(0.00042)
    ('1.4%', '50%', '0.042%')
    """
    return percent(value, rough=True)


def at_most(value: object) -> str:
    """A tolerance or upper bound as per cent, never smaller than it is.

    >>> at_most(0.0104), at_most(0.048712345)
    ('1.04%', '4.9%')
    """
    return percent(value, "up")


def at_least(value: object) -> str:
    """A confidence or lower bound as per cent, never larger than it is.

    >>> at_least(0.95), at_least(0.9999), at_least(0.99949321)
    ('95%', '99.99%', '99.9%')
    """
    return percent(value, "down")


def _toward(value: float, toward: Toward) -> str:
    points = Decimal(repr(float(value))) * 100
    if points == 0:
        return "0"
    points = _rounded(points, NOISE_DIGITS)
    short = min(points, 100 - points) if 0 < points < 100 else points  # 99.99 has as few digits as 0.01
    if _digits_of(points) <= EXACT_DIGITS or _digits_of(short) <= EXACT_DIGITS:
        return _plain(points)
    last = min(points.adjusted() - 1, -1)
    rounding = ROUND_CEILING if toward == "up" else ROUND_FLOOR
    return _plain(points.quantize(Decimal(1).scaleb(last), rounding=rounding))


def _rounded(value: Decimal, significant: int) -> Decimal:
    return round(value, significant - 1 - value.adjusted())


def _digits_of(value: Decimal) -> int:
    return len(value.normalize().as_tuple().digits)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def threshold(value: object) -> str:
    """A threshold or limit with all its digits, so that the rule that is read is the rule that holds.

    >>> threshold(0.81), threshold(0.81004), threshold(0.8100000000000002), threshold(-3.0), threshold(None)
    ('0.81', '0.81004', '0.8100000000000002', '-3', '–')
    """
    if not isinstance(value, int | float) or math.isnan(value):
        return "–"
    return "0" if value == 0 else repr(float(value)).removesuffix(".0")


def score_from(value: object) -> str:
    """The lowest released score in a column; "> x" where it is the least number above x, "−∞" where any will do.

    >>> score_from(0.8123), score_from(5e-324), score_from(-1.7976931348623157e308), score_from(None)
    ('0.8123', '> 0', '−∞', '–')
    """
    if not is_number(value):
        return threshold(value)
    if value <= LOWEST:
        return "−∞"
    above, text = _edge(value)
    return f"> {text}" if above else text


def lowest_score(value: float, lang: str = "en", sign: bool = False) -> str:
    """The condition on a score in words or with a sign: at least x, more than x, or any value at all.

    >>> lowest_score(-1.7976931348623157e308), lowest_score(-1.7976931348623157e308, sign=True)
    ('any value', 'is given')
    >>> lowest_score(0.81004), lowest_score(5e-324), lowest_score(0.025000000000000005, sign=True)
    ('0.81004 or more', 'more than 0', '> 0.025')
    >>> lowest_score(0.5, "zh"), lowest_score(5e-324, "zh")
    ('不低于 0.5', '高于 0')
    """
    if value <= LOWEST:
        return ("有值" if lang == "zh" else "is given") if sign else ("有值" if lang == "zh" else "any value")
    above, text = _edge(value)
    if sign:
        return f"{'>' if above else '>='} {text}"
    if lang == "zh":
        return f"{'高于' if above else '不低于'} {text}"
    return f"more than {text}" if above else f"{text} or more"


def _edge(value: float) -> tuple[bool, str]:
    """A threshold, or the number just below it where that is much shorter: then what is released lies above it."""
    text, below = threshold(value), threshold(math.nextafter(value, -math.inf))
    return (True, below) if len(below) + SHORTER_DIGITS <= len(text) else (False, text)


def digits(value: object, significant: int = 3) -> str:
    """A number to a few significant digits, never in exponents a layman would stumble on.

    >>> [digits(x) for x in (1234567, 56.25, 0.0123456, 0, None)]
    ['1,234,567', '56.2', '0.0123', '0', '–']
    """
    if not is_number(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= significant - 1:
        return f"{value:,.0f}"
    text = f"{value:,.{min(significant - 1 - size, 12)}f}"
    return text.rstrip("0").rstrip(".")


def money(value: object, unit: str = "", significant: int = 2) -> Both:
    """A cost with its unit: a sign of currency before the number, any other word after it.

    >>> money(0.214, "€").en, money(0.214, "cent").en, money(0.214, "cent").zh, money(0.000123, "s").en
    ('€0.21', '0.21 cents', '0.21 分', '0.00012 s')
    """
    number = digits(value, significant)
    if unit in {"€", "$", "£", "¥"}:
        return both(unit + number)
    return Both(*(f"{number} {name}".rstrip() for name in unit_name(unit)))


def unit_name(unit: str) -> Both:
    """The name of a unit of cost in both languages; an unknown one keeps its name."""
    return UNITS.get(unit) or both(unit)


def dollars(value: float | None) -> str:
    """Pay in dollars a year.

    >>> dollars(60170.0), dollars(None)
    ('$60,170', '–')
    """
    return f"${value:,.0f}" if value else "–"


def duration(seconds: object) -> Both:
    """A time as people say it.

    >>> duration(75).en, duration(5.21).en, duration(7300).en
    ('1 min 15 s', '5.2 s', '2 h 1 min')
    """
    if not is_number(seconds):
        return both("–")
    if seconds < 60:
        return both(f"{digits(seconds, 2)} s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return Both(f"{minutes} min {rest} s", f"{minutes} 分 {rest} 秒")
    return Both(f"{minutes // 60} h {minutes % 60} min", f"{minutes // 60} 小时 {minutes % 60} 分")


def age(seconds: float) -> str:
    """A time span in its largest unit.

    >>> age(7300)
    '2 h'
    """
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
