r"""The grader of numbers: "$9.00", "9 dollars", "= 9" and "#### 9" all say 9; "about 9 or 10" says nothing.

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
LONGEST = 60  # digits that are still read as a number
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
_SAYS = re.compile(
    r"\banswer(?:\s+to\s+[^.:\n]{0,60}?)?\s*(?:is|was|would\s+be|will\s+be|equals|=|:|：)\s*:?|答案\s*(?:是|为|：|:)+",
    re.I,
)
_END = re.compile(r"\n|[.;!?](?=\s|$)|[。；！？]")
_BETWEEN = re.compile(  # what makes two numbers two answers
    r"\s*(?:[^\W\d]+\s*)?(?:\bor\b|\bto\b|-|~|/|或|到)\s*(?:about\s+|maybe\s+|even\s+)?|\s+and\s+|\s*,?\s*(?:or|and)\s+"
)
_OR = re.compile(r"\s*(?:[^\W\d]+\s*)?,?\s*\bor\b\s*(?:about\s+|maybe\s+|even\s+)?")
_ASIDE = re.compile(rf"\([^()]*\)|\b(?:per|every|out\s+of)\s+{DIGITS}\b")  # what does not give the answer
_SUM = re.compile(r"\s*[-+*×·÷/^]\s*|\s+x\s+")
_NOT = re.compile(
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
    """A verdict, what was read of the answer, and as it was written there."""

    right: bool
    read: str
    shown: str = ""


def grade(text: str, key: str, question: str = "") -> Graded:
    r"""Does a solution end with the number of the key?

    >>> [grade(said, "9").right for said in ("#### $9.00", "so x = 9.", "The answer is nine pens", r"\boxed{9}")]
    [True, True, True, True]
    >>> grade("The answer is 9 or 10.", "9").read
    'no single number'
    """
    wanted, found = final_number(key) or final_number(f"#### {key}"), final_number(text)
    if wanted is None:  # the key is a word
        said = (statement(plain(text)) or plain(text)).strip(" .\n")
        return Graded(said.casefold() == plain(key).strip(" .\n").casefold(), said, said)
    if found is None:
        return Graded(False, message("read.no_number"))
    return Graded(same(found, wanted, question), str(found), found.shown)


def same(found: Value, key: Value, question: str = "") -> bool:
    """Whether an answer is the key: exactly, or rounded to two decimals or more where the key has more.

    75% is 75 and 0.75; "3 million" is 3 only where the question asks for millions.

    >>> same(Value(Fraction(75), percent=True), Value(Fraction(3, 4), 2)), same(Value(Fraction(9)), Value(Fraction(90)))
    (True, False)
    """
    if found.time or key.time:
        return found.time == key.time
    if any(_close(found, mine, key, other) for mine, other in _pairs(found, key)):
        return True
    scale = found.scale.removesuffix("s")
    asked = bool(scale) and len(scale) > 1 and scale in question.lower()
    return asked and not key.scale and found.number == key.number


def _pairs(found: Value, key: Value) -> list[tuple[Fraction, Fraction]]:
    """The numbers to compare; a percentage may stand for itself or for the share, if only one of the two has it."""
    mine, other = found.whole, key.whole
    if found.percent == key.percent:
        return [(mine, other)]
    return [(mine, other), (mine / 100, other)] if found.percent else [(mine, other), (mine, other / 100)]


def _close(found: Value, mine: Fraction, key: Value, other: Fraction) -> bool:
    if mine == other:
        return True
    if other.denominator == 1 or found.scale or key.scale or found.percent != key.percent:
        return False
    if found.decimals is None:  # a fraction for a key that was rounded, such as 10/3 for 3.33
        return key.decimals is not None and key.decimals >= 2 and round(mine, key.decimals) == other
    longer = key.decimals is None or key.decimals > found.decimals
    return found.decimals >= 2 and longer and abs(mine - other) * 2 <= Fraction(1, 10**found.decimals)


def final_number(text: str) -> Value | None:
    """The final answer of a solution; None if there is none, or several.

    >>> str(final_number("She pays 3 * 3 = $9.00 in 2 days. #### 9")), final_number("I do not know")
    ('9', None)
    """
    text = plain(text)
    said = statement(text)
    return _equated(said) if said is not None else _last(text)


def statement(text: str) -> str | None:
    """The part that states the final answer: after the last mark of one, to the end of its sentence."""
    if "####" in text:
        after = text.rpartition("####")[2].strip()
        return after.splitlines()[0] if after else ""
    if "boxed{" in text:
        return _braced(text[text.rindex("boxed{") + len("boxed") :])
    says = list(_SAYS.finditer(text))
    for found in reversed(says):
        rest = text[found.end() :].strip()
        end = _END.search(rest)
        if part := (rest[: end.start()] if end else rest).strip():
            return part
    return None


def _braced(text: str) -> str:
    """What stands in the first braces; all of it if they do not close."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[1:at]
    return text[1:]


def _equated(said: str) -> Value | None:
    """What an equation comes to: its last side that is a number; what explains it in brackets stays out."""
    said = re.sub(r"\(\s*[^()]*=[^()]*\)", "", said)
    sides = (_first(side) for side in reversed(re.split(r"[=≈]", said)))
    return next((value for value in sides if value is not None), None)


def _first(said: str) -> Value | None:
    """The number that a statement gives: its first, if it does not go on to another answer or a sum."""
    found = _VALUE.search(said)
    if found is None:
        return _in_words(said)
    if _NOT.search(said[: found.start()]):
        return None
    value, rest = _value(found), said[found.end() :]
    follows = _VALUE.search(rest)
    if follows is None or value is None:
        return value
    gap = rest[: follows.start()]
    other = _value(follows)
    if _SUM.fullmatch(gap + (follows["sign"] or "")) or _SUM.fullmatch(gap):
        return None
    if _BETWEEN.fullmatch(gap) and (other is None or not (same(other, value) or same(value, other))):
        return None
    return value


def _last(text: str) -> Value | None:
    """The last number of a text that marks no answer, what an equation comes to before others; else number words."""
    for part in reversed(_END.split(text)):
        part = _ASIDE.sub("", part) if _VALUE.search(_ASIDE.sub("", part)) else part
        if "=" in part and (found := _equated(part)) is not None:
            return found
        values = list(_VALUE.finditer(part))
        if values:
            gap = part[values[-2].end() : values[-1].start()] if len(values) > 1 else ""
            either = _OR.fullmatch(gap) or _NOT.search(part[: values[-1].start()])
            return None if either else _value(values[-1])
    return _in_words(_END.split(text.strip())[-1] or text)


def _value(found: re.Match[str]) -> Value | None:
    """A match as a number; None where it means none, such as a division by nothing."""
    shown = found.group().strip()
    if len(shown) > LONGEST:
        return None
    if found["time"]:
        return Value(
            Fraction(0), time=":".join(str(int(part)) for part in found["time"].split(":")), shown=shown
        )
    try:
        number, decimals = _fraction(found)
    except ZeroDivisionError:
        return None
    negative = bool(re.search(r"-|minus|negative", found["sign"] or ""))
    scale = found["scale"] or found["short"] or ""
    return Value(-number if negative else number, decimals, bool(found["percent"]), scale, shown=shown)


def _fraction(found: re.Match[str]) -> tuple[Fraction, int | None]:
    if found["whole"]:
        return int(found["whole"]) + Fraction(int(found["up"]), int(found["down"])), None
    if found["top"]:
        return Fraction(found["top"]) / Fraction(found["bottom"]), None
    exponent = int(found["e"] or found["power"] or 0)
    return Fraction(found["number"]) * Fraction(10) ** exponent, len(found["number"].partition(".")[2])


# Writing made plain

_LATEX = (
    (r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r" \1/\2"),
    (r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r" \1 "),
    (r"\\(?:times|cdot)\b", "×"),
    (r"\\(?:left|right|displaystyle|quad|qquad)\b", " "),
    (r"\\[,!;: ]|\{,\}|\\?[()\[\]](?=\s*$)", lambda found: "," if found.group() == "{,}" else ""),
    (r"\\([$%#&_])", r"\1"),
    (r"\\[(\[)\]]", " "),
)
_PLAIN = (
    (r"<<[^<>]*>>", ""),  # the calculator's notes of GSM8K
    (r"\*\*|__|`", ""),
    (r"[$€£¥]\s?\d{1,3}(?: \d{3})+(?!\d)", lambda found: found.group().replace(" ", "")),
    (r"(?<=\d)[\u00a0\u2009\u202f'’_](?=\d{3}(?!\d))", ""),
    (
        r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d{1,2})(?![\d,])",
        lambda found: f"{found[1].replace('.', '')}.{found[2]}",
    ),
    (r"(?<![\d.,])\d{1,3}(?:,\d{2,3})*,\d{3}(?![\d,])", lambda found: found.group().replace(",", "")),
    (r"(?<![\d.,])(\d+),(\d{1,2})(?![\d,.]\d|\d)", r"\1.\2"),
    (r"[−‒–—﹣－](?=\s*[$€£¥]?\d)", "-"),
)


def plain(text: str) -> str:
    r"""A text with numbers written one way: no thousands marks, LaTeX, markdown, or rare signs.

    >>> plain(r"\$1,200 or 2½ or \frac{3}{4} or １２ or 1.200,50")
    '$1200 or 2 1/2 or  3/4 or 12 or 1200.50'
    """
    text = "".join(_vulgar(sign) for sign in text)
    for pattern, into in (*_LATEX, *_PLAIN):
        text = re.sub(pattern, into, text)
    return unicodedata.normalize("NFKC", text)


def _vulgar(sign: str) -> str:
    """½ as 1/2, with a space before; other signs as they are."""
    parts = unicodedata.normalize("NFKC", sign) if "¼" <= sign <= "↉" else sign
    return f" {parts.replace('⁄', '/')}" if "⁄" in parts else sign


# Numbers in words

_TEENS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
)
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: at for at, word in enumerate(f"{_TEENS} seventeen eighteen nineteen".split())}
_ONES |= {"none": 0, "nil": 0, "a": 1, "an": 1}
_TENS = {word: 10 * at for at, word in enumerate(_DECADES.split(), 2)}
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

    >>> [str(_in_words(said)) for said in ("one hundred and five", "a dozen eggs", "three quarters", "cats")]
    ['105', '12', '3/4', 'None']
    """
    words = re.findall(r"[a-z]+", text.lower())
    for at in range(len(words)):
        if words[at] in ("a", "an") and (at + 1 == len(words) or words[at + 1] not in {*_BIG, *_PARTS}):
            continue
        if words[at] in {*_ONES, *_TENS, *_PARTS} and (value := _spoken(words[at:])) is not None:
            negative = at > 0 and words[at - 1] in ("minus", "negative")
            return Value(-value if negative else value, None if value.denominator > 1 else 0, shown=words[at])
    return None


def _spoken(words: list[str]) -> Fraction | None:
    total, group, used = Fraction(0), Fraction(0), False
    for at, word in enumerate(words):
        if (word == "and" and used) or (word in ("a", "an") and words[at - 1 : at] == ["and"]):
            continue
        if word in _PARTS:
            # "two thirds", "a half", but "one and a half": there the half comes on top.
            if at > 2 and words[at - 2 : at] == ["and", "a"]:
                return total + group + Fraction(1, _PARTS[word])
            return (group or Fraction(1)) / _PARTS[word] if not total else None
        if word in _BIG and (used or word == "dozen"):
            group = max(group, Fraction(1)) * _BIG[word]
            if word not in ("hundred", "dozen", "dozens"):
                total, group = total + group, Fraction(0)
        elif word in _TENS or (word in _ONES and (word not in ("a", "an") or at == 0)):
            group += _TENS.get(word, _ONES.get(word, 0))
        else:
            break
        used = True
    return total + group if used else None
