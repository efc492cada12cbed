r"""Grades numeric answers: "$9.00", "9 dollars", "= 9" and "#### 9" all state 9; "about 9 or 10" states no number.

It reads the statement of the final answer (after `####`, in `\boxed{}`, after "answer is", else the last number),
and compares exact fractions. Where the key has more decimals, an answer rounded to two or more of them is right.
It does not convert units (900 cents is not 9 dollars) and evaluates no sums (18 - 9 is no answer).
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from tolerate.messages.catalogue import message

DIGITS = r"(?:\d+(?:\.\d+)?|\.\d+)"
MAX_NUMBER_CHARACTERS = 60  # of a number; longer ones are not read
SCALES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "k": 10**3, "K": 10**3, "M": 10**6, "dozen": 12, "dozens": 12, "万": 10**4, "亿": 10**8,
}  # fmt: skip
MONEY = r"(?:(?:US|CA|AU|NZ|HK|[AC])?[$€£¥₹₩]\s*)"
SIGN = r"(?:(?:-|\+|minus\s+|negative\s+)\s*)"
_VALUE = re.compile(
    rf"""
    (?P<sign>(?<![\w)])(?:{SIGN}{MONEY}?|{MONEY}{SIGN}?))?
    (?:
        (?P<time>\d+:\d+(?::\d+)?)
      | (?P<whole>\d+)(?:\s+(?:and\s+)?|-)(?P<up>\d+)\s*/\s*(?P<down>\d+)
      | (?P<top>{DIGITS})\s*/\s*(?P<bottom>{DIGITS})
      | (?P<number>{DIGITS})(?:[eE](?P<e>[+-]?\d{{1,2}})(?!\w)
          |\s*[×x*]\s*10\s*(?:\^|\*\*)\s*\{{?(?P<power>[+-]?\d{{1,2}})\}}?)?
    )
    (?:\s*(?P<percent>%|percent\b|per\s+cent\b|pct\b)
      |\s*(?P<scale>(?:hundred|thousand|million|billion|trillion|dozens?)\b|万|亿)|(?P<short>[kKM])\b)?
    """,
    re.VERBOSE,
)
_ANSWER_MARK = re.compile(
    r"\banswer(?:\s+to\s+[^.:\n]{0,60}?)?\s*(?:is|was|would\s+be|will\s+be|equals|=|:|：)\s*:?|答案\s*(?:是|为|：|:)+",
    re.I,
)
_END = re.compile(r"\n|[.;!?](?=\s|$)|[。；！？]")
_ALTERNATIVE = re.compile(  # what makes two numbers two answers
    r"\s*(?:[^\W\d]+\s*)?(?:\bor\b|\bto\b|-|~|/|或|到)\s*(?:about\s+|maybe\s+|even\s+)?|\s+and\s+|\s*,?\s*(?:or|and)\s+"
)
_OR = re.compile(r"\s*(?:[^\W\d]+\s*)?,?\s*\bor\b\s*(?:about\s+|maybe\s+|even\s+)?")
_REMARK = re.compile(rf"\([^()]*\)|\b(?:per|every|out\s+of)\s+{DIGITS}\b")  # what does not give the answer
_SUM = re.compile(r"\s*[-+*×·÷/^]\s*|\s+x\s+")
_COMPARISON = re.compile(
    r"(?:\b(?:less|more|fewer|greater|higher|lower)\s+than|\b(?:under|over|below|above|not|isn't)|(?<!\w)[<>])\s*$",
    re.I,
)


@dataclass(frozen=True)
class Value:
    """A number as it was written: its value, decimals (None for a fraction), and whether with % or a scale."""

    number: Fraction
    decimals: int | None = 0
    percent: bool = False
    scale: str = ""
    time: str = ""  # a time or a ratio such as 2:30, which is compared as it stands
    shown: str = ""

    @property
    def whole(self) -> Fraction:
        """The value with its scale: 3 million is 3,000,000."""
        return self.number * SCALES.get(self.scale, 1)

    def __str__(self) -> str:
        return self.time or f"{self.whole}{'%' if self.percent else ''}"


@dataclass(frozen=True)
class Graded:
    """A verdict, the number read from the answer, and its original spelling."""

    right: bool
    read: str
    shown: str = ""


def grade(text: str, key: str, question: str = "") -> Graded:
    r"""Grade a solution: whether its final answer is the number of the key.

    >>> [grade(text, "9").right for text in ("#### $9.00", "so x = 9.", "The answer is nine pens", r"\boxed{9}")]
    [True, True, True, True]
    >>> grade("The answer is 9 or 10.", "9").read
    'no single number'
    """
    expected, answer = final_number(key) or final_number(f"#### {key}"), final_number(text)
    if expected is None:  # the key is a word
        stated = (statement(plain(text)) or plain(text)).strip(" .\n")
        return Graded(stated.casefold() == plain(key).strip(" .\n").casefold(), stated, stated)
    if answer is None:
        return Graded(False, message("read.no_number"))
    return Graded(same(answer, expected, question), str(answer), answer.shown)


def same(answer: Value, key: Value, question: str = "") -> bool:
    """Whether an answer is the key: exactly, or rounded to two decimals or more where the key has more.

    75% is 75 and 0.75; "3 million" is 3 only where the question asks for millions.

    >>> same(Value(Fraction(75), percent=True), Value(Fraction(3, 4), 2)), same(Value(Fraction(9)), Value(Fraction(90)))
    (True, False)
    """
    if answer.time or key.time:
        return answer.time == key.time
    if any(
        _close(answer, answer_number, key, key_number) for answer_number, key_number in _pairs(answer, key)
    ):
        return True
    scale = answer.scale.removesuffix("s")
    scale_requested = bool(scale) and len(scale) > 1 and scale in question.lower()
    return scale_requested and not key.scale and answer.number == key.number


def _pairs(answer: Value, key: Value) -> list[tuple[Fraction, Fraction]]:
    """The numbers to compare; a percentage may stand for itself or for the share, if only one of the two has it."""
    answer_number, key_number = answer.whole, key.whole
    if answer.percent == key.percent:
        return [(answer_number, key_number)]
    return (
        [(answer_number, key_number), (answer_number / 100, key_number)]
        if answer.percent
        else [(answer_number, key_number), (answer_number, key_number / 100)]
    )


def _close(answer: Value, answer_number: Fraction, key: Value, key_number: Fraction) -> bool:
    if answer_number == key_number:
        return True
    if key_number.denominator == 1 or answer.scale or key.scale or answer.percent != key.percent:
        return False
    if answer.decimals is None:  # a fraction for a key that was rounded, such as 10/3 for 3.33
        return (
            key.decimals is not None
            and key.decimals >= 2
            and round(answer_number, key.decimals) == key_number
        )
    longer = key.decimals is None or key.decimals > answer.decimals
    return (
        answer.decimals >= 2
        and longer
        and abs(answer_number - key_number) * 2 <= Fraction(1, 10**answer.decimals)
    )


def final_number(text: str) -> Value | None:
    """The final answer of a solution; None if there is none, or several.

    >>> str(final_number("She pays 3 * 3 = $9.00 in 2 days. #### 9")), final_number("I do not know")
    ('9', None)
    """
    text = plain(text)
    stated = statement(text)
    return _value_of_equation(stated) if stated is not None else _last_number(text)


def statement(text: str) -> str | None:
    """The part that states the final answer: after the last mark of one, to the end of its sentence."""
    if "####" in text:
        after = text.rpartition("####")[2].strip()
        return after.splitlines()[0] if after else ""
    if "boxed{" in text:
        return _in_braces(text[text.rindex("boxed{") + len("boxed") :])
    marks = list(_ANSWER_MARK.finditer(text))
    for mark in reversed(marks):
        rest = text[mark.end() :].strip()
        end = _END.search(rest)
        if part := (rest[: end.start()] if end else rest).strip():
            return part
    return None


def _in_braces(text: str) -> str:
    """The content of the first braces; the whole text if they are not closed."""
    depth = 0
    for index, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[1:index]
    return text[1:]


def _value_of_equation(equation: str) -> Value | None:
    """The value of an equation: its last side that is a number; explanations in brackets are ignored."""
    equation = re.sub(r"\(\s*[^()]*=[^()]*\)", "", equation)
    sides = (_first_number(side) for side in reversed(re.split(r"[=≈]", equation)))
    return next((value for value in sides if value is not None), None)


def _first_number(stated: str) -> Value | None:
    """The first number of a statement; None if another answer or an arithmetic expression follows."""
    match = _VALUE.search(stated)
    if match is None:
        return _in_words(stated)
    if _COMPARISON.search(stated[: match.start()]):
        return None
    value, rest = _value_of_match(match), stated[match.end() :]
    next_match = _VALUE.search(rest)
    if next_match is None or value is None:
        return value
    gap = rest[: next_match.start()]
    next_value = _value_of_match(next_match)
    if _SUM.fullmatch(gap + (next_match["sign"] or "")) or _SUM.fullmatch(gap):
        return None
    if _ALTERNATIVE.fullmatch(gap) and (
        next_value is None or not (same(next_value, value) or same(value, next_value))
    ):
        return None
    return value


def _last_number(text: str) -> Value | None:
    """The last number of a text without an answer mark: the value of an equation first, else number words."""
    for part in reversed(_END.split(text)):
        part = _REMARK.sub("", part) if _VALUE.search(_REMARK.sub("", part)) else part
        if "=" in part and (value := _value_of_equation(part)) is not None:
            return value
        values = list(_VALUE.finditer(part))
        if values:
            gap = part[values[-2].end() : values[-1].start()] if len(values) > 1 else ""
            either = _OR.fullmatch(gap) or _COMPARISON.search(part[: values[-1].start()])
            return None if either else _value_of_match(values[-1])
    return _in_words(_END.split(text.strip())[-1] or text)


def _value_of_match(match: re.Match[str]) -> Value | None:
    """The number of a match; None where it has no value, such as a division by zero."""
    shown = match.group().strip()
    if len(shown) > MAX_NUMBER_CHARACTERS:
        return None
    if match["time"]:
        return Value(
            Fraction(0), time=":".join(str(int(part)) for part in match["time"].split(":")), shown=shown
        )
    try:
        number, decimals = _fraction(match)
    except ZeroDivisionError:
        return None
    negative = bool(re.search(r"-|minus|negative", match["sign"] or ""))
    scale = match["scale"] or match["short"] or ""
    return Value(-number if negative else number, decimals, bool(match["percent"]), scale, shown=shown)


def _fraction(match: re.Match[str]) -> tuple[Fraction, int | None]:
    if match["whole"]:
        return int(match["whole"]) + Fraction(int(match["up"]), int(match["down"])), None
    if match["top"]:
        return Fraction(match["top"]) / Fraction(match["bottom"]), None
    exponent = int(match["e"] or match["power"] or 0)
    return Fraction(match["number"]) * Fraction(10) ** exponent, len(match["number"].partition(".")[2])


# Normalisation of spelling

_LATEX = (
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r" \1/\2"),
    (r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r" \1 "),
    (r"\\(?:times|cdot)\b", "×"),
    (r"\\(?:left|right|displaystyle|quad|qquad)\b", " "),
    (r"\\[,!;: ]|\{,\}|\\?[()\[\]](?=\s*$)", lambda match: "," if match.group() == "{,}" else ""),
    (r"\\([$%#&_])", r"\1"),
    (r"\\[(\[)\]]", " "),
)
_PLAIN = (
    (r"<<[^<>]*>>", ""),  # the calculator's notes of GSM8K
    (r"\*\*|__|`", ""),
    (r"[$€£¥]\s?\d{1,3}(?: \d{3})+(?!\d)", lambda match: match.group().replace(" ", "")),
    (r"(?<=\d)[\u00a0\u2009\u202f'’_](?=\d{3}(?!\d))", ""),
    (
        r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d{1,2})(?![\d,])",
        lambda match: f"{match[1].replace('.', '')}.{match[2]}",
    ),
    (r"(?<![\d.,])\d{1,3}(?:,\d{2,3})*,\d{3}(?![\d,])", lambda match: match.group().replace(",", "")),
    (r"(?<![\d.,])(\d+),(\d{1,2})(?![\d,.]\d|\d)", r"\1.\2"),
    (r"[−‒–—﹣－](?=\s*[$€£¥]?\d)", "-"),
)


def plain(text: str) -> str:
    r"""A text with its numbers in one spelling: no thousands separators, LaTeX, markdown or rare characters.

    >>> plain(r"\$1,200 or 2½ or \frac{3}{4} or １２ or 1.200,50")
    '$1200 or 2 1/2 or  3/4 or 12 or 1200.50'
    """
    text = "".join(_spell_fraction(sign) for sign in text)
    for pattern, into in (*_LATEX, *_PLAIN):
        text = re.sub(pattern, into, text)
    return unicodedata.normalize("NFKC", text)


def _spell_fraction(sign: str) -> str:
    """A character such as ½ as " 1/2"; other characters unchanged."""
    parts = unicodedata.normalize("NFKC", sign) if "¼" <= sign <= "↉" else sign
    return f" {parts.replace('⁄', '/')}" if "⁄" in parts else sign


# Numbers in words

_TEENS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
)
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: number for number, word in enumerate(f"{_TEENS} seventeen eighteen nineteen".split())}
_ONES |= {"none": 0, "nil": 0, "a": 1, "an": 1}
_TENS = {word: 10 * number for number, word in enumerate(_DECADES.split(), 2)}
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "thirds": 3,
    "quarter": 4,
    "quarters": 4,
    "fifth": 5,
    "fifths": 5,
}
_BIG = {word: size for word, size in SCALES.items() if word.isascii() and len(word) > 1}


def _in_words(text: str) -> Value | None:
    """The first number written in words.

    >>> [str(_in_words(text)) for text in ("one hundred and five", "a dozen eggs", "three quarters", "cats")]
    ['105', '12', '3/4', 'None']
    """
    words = re.findall(r"[a-z]+", text.lower())
    for index in range(len(words)):
        if words[index] in ("a", "an") and (
            index + 1 == len(words) or words[index + 1] not in {*_BIG, *_PARTS}
        ):
            continue
        if (
            words[index] in {*_ONES, *_TENS, *_PARTS}
            and (value := _number_of_words(words[index:])) is not None
        ):
            negative = index > 0 and words[index - 1] in ("minus", "negative")
            return Value(
                -value if negative else value, None if value.denominator > 1 else 0, shown=words[index]
            )
    return None


def _number_of_words(words: list[str]) -> Fraction | None:
    total, group, used = Fraction(0), Fraction(0), False
    for index, word in enumerate(words):
        if (word == "and" and used) or (word in ("a", "an") and words[index - 1 : index] == ["and"]):
            continue
        if word in _PARTS:
            # "two thirds", "a half", but "one and a half": there the half comes on top.
            if index > 2 and words[index - 2 : index] == ["and", "a"]:
                return total + group + Fraction(1, _PARTS[word])
            return (group or Fraction(1)) / _PARTS[word] if not total else None
        if word in _BIG and (used or word == "dozen"):
            group = max(group, Fraction(1)) * _BIG[word]
            if word not in ("hundred", "dozen", "dozens"):
                total, group = total + group, Fraction(0)
        elif word in _TENS or (word in _ONES and (word not in ("a", "an") or index == 0)):
            group += _TENS.get(word, _ONES.get(word, 0))
        else:
            break
        used = True
    return total + group if used else None
