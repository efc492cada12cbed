"""Texts as whole numbers: words with the space before them, numbers by one or two digits, else characters.

Nothing is lost: what no learned piece covers is spelled in characters, and a character never seen
becomes one unknown sign. The first numbers are kept for filling up, the end, the beginning and the unknown.

    words        these, as above      characters      single ones      bpe:1000      see `bpe`
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.errors import DataError, OptionError

PIECE = re.compile(r" ?[A-Za-z]+| ?\d\d?|\s|[^\sA-Za-z\d]")
SPECIAL = ("<fill>", "<end>", "<start>", "\N{REPLACEMENT CHARACTER}")
UNKNOWN = 3
EMPTY = "the texts to learn from are empty; expected at least one with a sign in it"


class Tokenizer(Protocol):
    """What turns texts into whole numbers and back: the special ones first, the text again from its numbers."""

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

        >>> tokens = learn_tokens(["a cat, a hat"], least=1)
        >>> tokens.decode(tokens.encode("a hat, a cat"))
        'a hat, a cat'
        """
        numbers: list[int] = []
        for piece in PIECE.findall(text):
            number = self.numbers.get(piece)
            numbers += [number] if number is not None else [self.numbers.get(sign, UNKNOWN) for sign in piece]
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of some numbers; filling, beginning and end say nothing."""
        return "".join(self.pieces[number] for number in numbers if number >= UNKNOWN)

    def save(self, path: Path) -> None:
        """Write the vocabulary."""
        write_whole(path, to_json(list(self.pieces)))


def learn_tokens(texts: Iterable[str], *, most: int = 4000, least: int = 5) -> Tokens:
    """The vocabulary of some texts: all their characters, and the commonest pieces seen `least` times or more.

    >>> len(learn_tokens(["ab ab ab"], least=2))
    8
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(PIECE.findall(text))
    signs = sorted({sign for piece in counts for sign in piece})
    if not signs:
        raise DataError(EMPTY)
    room = most - len(SPECIAL) - len(signs)
    common = [piece for piece, count in counts.most_common(max(room, 0)) if count >= least and len(piece) > 1]
    return Tokens((*SPECIAL, *signs, *common))


def characters(texts: Iterable[str]) -> Tokens:
    """The vocabulary of single characters."""
    signs = {sign for text in texts for sign in text}
    if not signs:
        raise DataError(EMPTY)
    return Tokens((*SPECIAL, *sorted(signs)))


def tokens_for(kind: str, texts: Iterable[str]) -> Tokenizer:
    """The vocabulary of some texts by the name of its kind: words, characters, or bpe:1000 for so many pieces.

    >>> len(tokens_for("characters", ["abc"]))
    7
    """
    name, _, size = kind.partition(":")
    if name == "bpe" and (size or "1000").isdecimal():
        from tolerate.models.texts.bpe import learn_bpe

        return learn_bpe(texts, size=int(size or 1000))
    if kind not in ("words", "characters"):
        raise OptionError(f'no tokens are called "{kind}"; try words, characters, or bpe:1000')
    return learn_tokens(texts) if kind == "words" else characters(texts)


def load_tokens(path: Path) -> Tokenizer:
    """The vocabulary that `save` wrote, of any kind."""
    stored = read_json(path, "the vocabulary of a trained writer")
    if isinstance(stored, dict) and stored.get("model", {}).get("type") == "BPE":
        from tolerate.models.texts.bpe import load_bpe

        return load_bpe(path)
    if not isinstance(stored, list) or tuple(stored[: len(SPECIAL)]) != SPECIAL:
        raise DataError(f"{path} is no vocabulary that tolerate wrote; train the model again")
    return Tokens(tuple(stored))
