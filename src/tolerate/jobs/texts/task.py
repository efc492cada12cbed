"""The interface of a text job's data and check: requests, texts to learn from, verdicts."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.checks.own_error import OwnError
from tolerate.modality import Span


@dataclass(frozen=True)
class Pair:
    """A prompt with an answer to learn."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class TextVerdict:
    """The verdict of a check on one text."""

    wrong: bool
    read: str  # what it saw, in words
    marks: tuple[Span, ...] = ()  # the wrong parts of the text
    slot_errors: int = 0  # facts missing, wrong or invented
    slots: int = 0  # facts that were asked for


@dataclass(frozen=True)
class SeededText:
    """A text whose verdict is known, to measure the check by."""

    text: str
    request: int
    wrong: bool


class TextTask(ABC):
    """The data and the check of one text job. A request is a whole number that the task maps to a record."""

    name: str  # of the data
    limit: int  # tokens of an answer, at most
    decoding: ClassVar[Mapping[str, Any]] = {"temperature": 0.6}  # fields of models.texts.decoding.Decoding
    rubric: str = ""  # the criteria of a judge, where the user gives no rubric
    system: str = ""  # the system prompt of a model behind a server; empty where it is shown examples
    has_record: bool = (
        False  # whether model_input is a record of parts joined by "; ", which a text can be turned into
    )
    reads_characters: bool = False  # whether the writers read single characters, in place of pieces
    learns_prompts: bool = False  # whether the writers learn to write the prompts too: running text
    model_options: ClassVar[
        Mapping[str, Mapping[str, object]]
    ] = {}  # of writers, by name, that suit this job better
    assumptions: Sequence[Mapping[str, str]] = ()  # of this job beside the usual ones, in English and Chinese

    @property
    @abstractmethod
    def sha256(self) -> str:
        """The SHA-256 of the data."""

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """The number of records by purpose: generator, judge, asked."""

    @abstractmethod
    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """Draw n requests of a part independently."""

    @abstractmethod
    def prompt(self, request: int) -> str:
        """The request as people see it; a prompted model reads it too."""

    def model_input(self, request: int) -> str:
        """The request as the writers read it, where that is not what people see."""
        return self.prompt(request)

    def shown_text(self, text: str, request: int) -> str:
        """A writer's text as people see it."""
        return text

    def model_text(self, text: str, request: int) -> str:
        """A text as a writer would have written it: `shown_text` undone."""
        return text

    def template(self, request: int) -> str:
        """The text that writers trained here must follow, NUL standing for any letter; empty where they are free."""
        return ""

    def record_overlap(self, record: str, request: int) -> float:
        """The overlap of a record with the request's own: parts in both over parts in either, 0 to 1."""
        expected, actual = set(self.model_input(request).split("; ")), set(record.strip().split("; "))
        return len(expected & actual) / len(expected | actual)

    @abstractmethod
    def pairs(self, n: int, seed: int) -> list[Pair]:
        """Texts to learn from, of the generator's part: n of them, or all there are."""

    @abstractmethod
    def check(self, text: str, request: int) -> TextVerdict:
        """Whether the text is what was asked for."""

    def meaning(self, text: str) -> str:
        """The meaning of a text; two texts with the same one agree. By default the words, in any case and spacing."""
        return normalize(text)

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether a cheap filter, weaker than the check, lets a text pass."""
        return bool(text.strip())

    def repair(self, text: str, request: int) -> str:
        """A text with what can be repaired by rule repaired."""
        return text

    def references(self, request: int) -> list[str]:
        """Good answers to a request, for BLEU; none where there are none."""
        return []

    def held_out_pairs(self, n: int, seed: int) -> list[Pair]:
        """Prompts of the asked part with a good answer, for perplexity; none where there are none."""
        requests = self.requests(n, seed)
        return [
            Pair(self.prompt(request), references[0])
            for request in requests
            if (references := self.references(request))
        ]

    def beyond_copies(self, text: str) -> float | None:
        """The distance of a text from being a copy of a training text: 0 and below is a copy.

        None for the usual measure: the share of the text beyond its longest stretch that a training text has too.
        """
        return None

    def seeded_texts(self, n: int, seed: int) -> Iterable[SeededText]:
        """Texts whose verdict is known, right and wrong ones; none where there are none."""
        return ()

    def own_error(self, n: int, seed: int) -> OwnError:
        """The check's own error on texts whose verdict is known, n of each kind."""
        verdicts = [
            (seeded.wrong, self.check(seeded.text, seeded.request).wrong)
            for seeded in self.seeded_texts(n, seed)
        ]
        faulty = [refused for wrong, refused in verdicts if wrong]
        right = [refused for wrong, refused in verdicts if not wrong]
        return OwnError(len(faulty), len(faulty) - sum(faulty), len(right), sum(right))


def split_shares(n: int, shares: Mapping[str, float], seed: int) -> dict[str, Ints]:
    """The indices 0 to n - 1 divided at random by purpose, in these shares.

    >>> {name: len(part) for name, part in split_shares(10, {"generator": 0.7, "asked": 0.3}, 0).items()}
    {'generator': 7, 'asked': 3}
    """
    order = np.random.default_rng(seed).permutation(n)
    cuts = np.cumsum([round(share * n) for share in list(shares.values())[:-1]])
    return dict(zip(shares, np.split(order, cuts), strict=True))


class DividedTask(TextTask):
    """A task whose records are divided by purpose once; a request is the index of a record."""

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, Ints]:
        """The indices of the records by purpose."""

    @property
    def sizes(self) -> dict[str, int]:
        """The number of records by purpose."""
        return {name: len(part) for name, part in self.parts.items()}

    def requests(self, n: int, seed: int, part: str = "asked") -> Ints:
        """n records of a part, drawn independently."""
        return np.random.default_rng(seed).choice(self.parts[part], n)


def normalize(text: str) -> str:
    """A text without what does not matter to agreement.

    >>> normalize("  The Cat\\n sat. ")
    'the cat sat.'
    """
    return re.sub(r"\s+", " ", text).strip().casefold()


def span_of(text: str, part: str) -> list[Span]:
    """The first span of a part in a text, if it is there."""
    start = text.find(part) if part else -1
    return [(start, start + len(part))] if start >= 0 else []
