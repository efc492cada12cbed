"""A model that judges texts by a rubric, as a score: how sure it is, 0 to 1. It only ranks; no promise rests on it.

It is asked for one digit. Where the server gives log-probabilities, the score is the digit that it expects, over all
that it might have said (Liu et al. 2023, G-Eval, arXiv:2303.16634); else the digit it said. Each question is paid
for once: the answers are kept on the disk.
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import DataError
from tolerate.llm.client import Answer, Served

Floats = NDArray[np.float64]
TOP = 9
SYSTEM = (
    "You judge texts by a rubric. Answer with one digit and nothing else: 9 if the text surely fulfils the rubric, 0 "
    "if it surely does not, and those between for how sure you are."
)
QUESTION = "Rubric:\n{rubric}\n\nAsked for:\n{asked}\n\nText:\n{text}\n\nDigit:"
RUBRIC = "The text says all that is asked for, and nothing that is not in it."


class RubricJudge:
    """A judge behind a server, with its rubric."""

    def __init__(self, served: Served, rubric: str = "") -> None:
        self.served, self.rubric = served, rubric.strip() or RUBRIC

    def __call__(
        self,
        asked: Sequence[str],
        texts: Sequence[str],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Floats:
        """How sure it is of each text, NaN where its answer cannot be read: [n]."""
        answers = self.answers(asked, texts, on_progress)
        return np.array([score_of(one) for one in answers], dtype=np.float64)

    def answers(
        self,
        asked: Sequence[str],
        texts: Sequence[str],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Answer]:
        """What it said of each text."""
        questions = [
            QUESTION.format(rubric=self.rubric, asked=one, text=text)
            for one, text in zip(asked, texts, strict=True)
        ]
        found = self.served.write(questions, system=SYSTEM, alternatives=20, on_progress=on_progress)
        return [row[0] for row in found]


def score_of(answer: Answer) -> float:
    """The digit that a judge expects, of 9; without alternatives the number that it said.

    >>> score_of(Answer("7")), score_of(Answer("I would say 9/9.")), score_of(Answer("good"))
    (0.777..., 1.0, nan)
    >>> round(score_of(Answer("8", alternatives=((("8", math.log(0.5)), ("4", math.log(0.5))),))), 3)
    0.667
    """
    for choices in answer.alternatives:
        digits = {
            int(token.strip()): math.exp(logprob) for token, logprob in choices if token.strip().isdecimal()
        }
        known = {digit: chance for digit, chance in digits.items() if 0 <= digit <= TOP}
        if known and choices and re.fullmatch(r"\d", choices[0][0].strip()):
            return sum(digit * chance for digit, chance in known.items()) / sum(known.values()) / TOP
    return _said(answer.text)


def _said(text: str) -> float:
    """The number that a text gives, as a share of 9, or of 1 or of 100 where it is written so."""
    found = re.search(r"(\d+(?:\.\d+)?)\s*(%|/\s*(\d+))?", text)
    if found is None:
        return math.nan
    number, of = float(found[1]), found[3]
    scale = 100.0 if found[2] == "%" else float(of) if of and float(of) else float(TOP)
    return min(1.0, number / scale)


def read_rubric(path: Path) -> str:
    """The rubric in a file."""
    try:
        text = path.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the rubric {path} cannot be read: {error}; expected UTF-8 text") from None
    if not text:
        raise DataError(f"the rubric {path} is empty; expected a few sentences that say what is right")
    return text


def rubric_hash(path: Path | None) -> str:
    """What tells one rubric from another."""
    return hashlib.sha256(read_rubric(path).encode()).hexdigest()[:16] if path else ""
