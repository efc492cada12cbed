"""Texts as whole numbers: words with the space before them, numbers by one or two digits, else characters.

Nothing is lost: what no learned piece covers is spelled in characters; a character that the vocabulary lacks becomes
the unknown token. The first numbers are padding, end, start and unknown.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from tolerate.base.files import to_json, write_whole
from tolerate.errors import DataError

PIECE = re.compile(r" ?[A-Za-z]+| ?\d\d?|\s|[^\sA-Za-z\d]")
SPECIAL = ("<fill>", "<end>", "<start>", "\N{REPLACEMENT CHARACTER}")
UNKNOWN = 3
EMPTY = "the texts to learn from are empty; expected at least one with a character in it"


class Tokenizer(Protocol):
    """Turns texts into whole numbers and back; the special tokens have the first numbers."""

    def __len__(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """A text as numbers."""

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of some numbers."""

    def save(self, path: Path) -> None:
        """Write the vocabulary."""


@dataclass(frozen=True)
class Tokens:
    """A vocabulary: the pieces of texts in the order of their numbers; the special ones first."""

    pieces: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each piece."""
        return {piece: number for number, piece in enumerate(self.pieces)}

    def encode(self, text: str) -> list[int]:
        """A text as numbers.

        >>> tokens = learn_tokens(["a cat, a hat"], min_count=1)
        >>> tokens.decode(tokens.encode("a hat, a cat"))
        'a hat, a cat'
        """
        numbers: list[int] = []
        for piece in PIECE.findall(text):
            number = self.numbers.get(piece)
            numbers += [number] if number is not None else [self.numbers.get(sign, UNKNOWN) for sign in piece]
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of some numbers; padding, start and end have no text."""
        return "".join(self.pieces[number] for number in numbers if number >= UNKNOWN)

    def save(self, path: Path) -> None:
        """Write the vocabulary."""
        write_whole(path, to_json(list(self.pieces)))


def learn_tokens(texts: Iterable[str], *, max_size: int = 4000, min_count: int = 5) -> Tokens:
    """The vocabulary of some texts: all their characters, and the commonest pieces with `min_count` occurrences.

    >>> len(learn_tokens(["ab ab ab"], min_count=2))
    8
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(PIECE.findall(text))
    signs = sorted({sign for piece in counts for sign in piece})
    if not signs:
        raise DataError(EMPTY)
    room = max(max_size - len(SPECIAL) - len(signs), 0)
    common = [piece for piece, count in counts.most_common(room) if count >= min_count and len(piece) > 1]
    return Tokens((*SPECIAL, *signs, *common))


def characters(texts: Iterable[str]) -> Tokens:
    """The vocabulary of single characters."""
    signs = {sign for text in texts for sign in text}
    if not signs:
        raise DataError(EMPTY)
    return Tokens((*SPECIAL, *sorted(signs)))
