"""What a text job brings to its workshop: requests, texts to learn from, and a check of its own."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Span = tuple[int, int]  # from, to: characters of a text


@dataclass(frozen=True)
class Pair:
    """A prompt with an answer to learn."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Checked:
    """What a check says of one text."""

    wrong: bool
    read: str  # what it saw, in words
    marks: tuple[Span, ...] = ()  # the wrong parts of the text
    slot_errors: int = 0  # facts missing, wrong or invented
    slots: int = 0  # facts that were asked for


@dataclass(frozen=True)
class Seeded:
    """A text whose verdict is known, to measure the check by."""

    text: str
    request: int
    wrong: bool


@dataclass(frozen=True)
class OwnError:
    """How a check did on texts whose verdict is known."""

    faulty: int  # texts with a fault put in
    missed: int  # of those, how many it let pass
    right: int
    refused: int  # of the right ones, how many it called wrong

    @property
    def tested(self) -> int:
        """Texts of both kinds."""
        return self.faulty + self.right

    @property
    def wrong(self) -> int:
        """Verdicts that were wrong."""
        return self.missed + self.refused

    def sentence(self) -> str:
        """The figures in words.

        >>> OwnError(faulty=10, missed=1, right=0, refused=0).sentence()
        'of 10 texts with a fault put in it missed 1; how often it refuses right ones was not measured'
        """
        if not self.tested:
            return "its own error was not measured"
        right = f"of {self.right:,} right ones it refused {self.refused}"
        unknown = "how often it refuses right ones was not measured"
        found = f"of {self.faulty:,} texts with a fault put in it missed {self.missed}"
        return f"{found}; {right if self.right else unknown}"


class TextTask(ABC):
    """One job's data and check. A request is a whole number that this task understands."""

    name: str  # of the data
    limit: int  # tokens of an answer, at most
    decoding: ClassVar[dict[str, float]] = {"temperature": 0.6}  # how candidates are sampled
    rubric: str = ""  # what a judge goes by, where the user gives no rubric
    has_record: bool = (
        False  # whether `reads` is a record of parts joined by "; ", which a text can be turned back into
    )
    characters: bool = False  # whether the writers read single characters, in place of pieces
    whole: bool = False  # whether they learn to write the prompts too: running text
    designs: ClassVar[dict[str, dict[str, Any]]] = {}  # options of writers that are better for this job
    assumptions: Sequence[dict[str, str]] = ()  # of this job beside the usual ones, in English and Chinese

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Of the data."""

    @property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """How many records serve which purpose: generator, judge, asked."""

    @abstractmethod
    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n requests of a part, drawn independently."""

    @abstractmethod
    def prompt(self, request: int) -> str:
        """What the model reads; people see it too."""

    def reads(self, request: int) -> str:
        """What the writers read, where it is not what people see."""
        return self.prompt(request)

    def said(self, text: str, request: int) -> str:
        """What a writer wrote, as people see it."""
        return text

    def mould(self, request: int) -> str:
        """The text that writers trained here must follow, NUL standing for any letter; empty where they are free."""
        return ""

    def unsaid(self, text: str, request: int) -> str:
        """A text as a writer would have written it: `said` undone."""
        return text

    def recovered(self, record: str, request: int) -> float:
        """How much of a request's record another record has: parts of both over parts of either."""
        wanted, found = set(self.reads(request).split("; ")), set(record.strip().split("; "))
        return len(wanted & found) / len(wanted | found)

    @abstractmethod
    def pairs(self, n: int, seed: int) -> list[Pair]:
        """Texts to learn from, of the generator's part: n of them, or all there are."""

    @abstractmethod
    def check(self, text: str, request: int) -> Checked:
        """Is the text what was asked for?"""

    def meaning(self, text: str) -> str:
        """What two texts must share to agree: here the words, whatever case and spacing."""
        return normal(text)

    def rule(self, text: str, request: int) -> bool:
        """A cheap filter by rule, weaker than the check: may this text go on?"""
        return bool(text.strip())

    def repair(self, text: str, request: int) -> str:
        """A text with what can be mended by rule mended."""
        return text

    def references(self, request: int) -> list[str]:
        """Good answers to a request, for BLEU; none where there are none."""
        return []

    def unseen(self, n: int, seed: int) -> list[Pair]:
        """Prompts of the asked part with a good answer, for perplexity; none where there are none."""
        requests = self.requests(n, seed)
        return [
            Pair(self.prompt(request), goods[0])
            for request in requests
            if (goods := self.references(request))
        ]

    def beyond_copies(self, text: str) -> float | None:
        """How far a text is from repeating a training text: 0 and below is a copy. None for the usual measure: the
        share of the text beyond its longest stretch that a training text has too.
        """
        return None

    def seeded(self, n: int, seed: int) -> Iterable[Seeded]:
        """Texts whose verdict is known, right and wrong ones; none where there are none."""
        return ()

    def own_error(self, n: int, seed: int) -> OwnError:
        """The check's own error on texts whose verdict is known, n of each kind."""
        known = [(one.wrong, self.check(one.text, one.request).wrong) for one in self.seeded(n, seed)]
        faulty = [said for wrong, said in known if wrong]
        right = [said for wrong, said in known if not wrong]
        return OwnError(len(faulty), len(faulty) - sum(faulty), len(right), sum(right))


def normal(text: str) -> str:
    """A text without what does not matter to agreement.

    >>> normal("  The Cat\\n sat. ")
    'the cat sat.'
    """
    return re.sub(r"\s+", " ", text).strip().casefold()


def span_of(text: str, part: str) -> list[Span]:
    """Where a part first stands in a text, if it does."""
    at = text.find(part) if part else -1
    return [(at, at + len(part))] if at >= 0 else []
