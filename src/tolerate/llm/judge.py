"""A model that judges texts by a rubric, as a score: how sure it is, 0 to 1. It only ranks; no promise rests on it.

It is asked for one digit. Where the server gives log-probabilities, the score is the expected digit over the likely
tokens (Liu et al. 2023, G-Eval, arXiv:2303.16634); else the digit that it wrote. Each question is paid for once: the
answers are cached on the disk.
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tolerate.errors import DataError
from tolerate.llm.client import ServedModel, no_progress
from tolerate.llm.completion import Completion

MAX_DIGIT = 9
SYSTEM = (
    "You judge texts by a rubric. Answer with one digit and nothing else: 9 if the text surely fulfils the rubric, 0 "
    "if it surely does not, and those between for how sure you are."
)
QUESTION = "Rubric:\n{rubric}\n\nAsked for:\n{asked}\n\nText:\n{text}\n\nDigit:"
RUBRIC = "The text says all that is asked for, and nothing that is not in it."


class RubricJudge:
    """A judge behind a server, with its rubric."""

    def __init__(self, model: ServedModel, rubric: str = "") -> None:
        self.model, self.rubric = model, rubric.strip() or RUBRIC

    def __call__(
        self,
        prompts: Sequence[str],
        texts: Sequence[str],
        on_progress: Callable[[int, int], None] = no_progress,
    ) -> list[float]:
        """How sure it is of each text that a prompt asked for, 0 to 1; NaN where its answer cannot be read."""
        return [score_of(answer) for answer in self.answers(prompts, texts, on_progress)]

    def answers(
        self,
        prompts: Sequence[str],
        texts: Sequence[str],
        on_progress: Callable[[int, int], None] = no_progress,
    ) -> list[Completion]:
        """The judge's answer on each text."""
        questions = [
            QUESTION.format(rubric=self.rubric, asked=prompt, text=text)
            for prompt, text in zip(prompts, texts, strict=True)
        ]
        rows = self.model.write(questions, system=SYSTEM, alternatives=20, on_progress=on_progress)
        return [row[0] for row in rows]


def score_of(answer: Completion) -> float:
    """The digit that a judge expects, of 9; without alternatives the number that it wrote.

    >>> score_of(Completion("7")), score_of(Completion("I would say 9/9.")), score_of(Completion("good"))
    (0.777..., 1.0, nan)
    >>> round(score_of(Completion("8", alternatives=((("8", math.log(0.5)), ("4", math.log(0.5))),))), 3)
    0.667
    """
    for choices in answer.alternatives:
        chances = {
            int(token.strip()): math.exp(logprob) for token, logprob in choices if token.strip().isdecimal()
        }
        digits = {digit: chance for digit, chance in chances.items() if 0 <= digit <= MAX_DIGIT}
        if digits and choices and re.fullmatch(r"\d", choices[0][0].strip()):
            return sum(digit * chance for digit, chance in digits.items()) / sum(digits.values()) / MAX_DIGIT
    return _number_in(answer.text)


def _number_in(text: str) -> float:
    """The number that a text gives, as a share of 9, or of 1 or of 100 where it is written so; NaN without one."""
    match = re.search(r"(\d+(?:\.\d+)?)\s*(%|/\s*(\d+))?", text)
    if match is None:
        return math.nan
    number, total = float(match[1]), match[3]
    scale = 100.0 if match[2] == "%" else float(total) if total and float(total) else float(MAX_DIGIT)
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
    """The hash of a rubric file; empty for none."""
    return hashlib.sha256(read_rubric(path).encode()).hexdigest()[:16] if path else ""
