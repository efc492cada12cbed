"""Byte pair encoding over bytes: texts as frequent pieces. Sennrich et al. 2016, arXiv:1508.07909.

Learned by the `tokenizers` library: a thousand pieces from a megabyte of texts in a third of a second. Since it works
on bytes (Radford et al. 2019), no text of any language has an unknown token: rare characters are spelled in bytes.
Each digit is a token, as in Llama's tokenizer, so that numbers can be copied.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tolerate.base.files import write_whole
from tolerate.errors import DataError, OptionError
from tolerate.models.texts.tokens import EMPTY, SPECIAL, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer

BYTES = 256
SPECIALS = (*SPECIAL[:UNKNOWN], "<unknown>")
MIN_VOCABULARY = len(SPECIAL) + BYTES

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one thread a process, as in training


@dataclass(frozen=True)
class BPE:
    """A byte-level vocabulary, as JSON of the `tokenizers` library; the special tokens come first."""

    definition: str

    @cached_property
    def _tokenizer(self) -> "LibraryTokenizer":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.definition)
        tokenizer.encode_special_tokens = True  # "<end>" in a text is five characters, not an end
        return tokenizer

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """A text as numbers.

        >>> tokens = learn_bpe(["a cat, a hat"] * 3, size=280)
        >>> tokens.decode(tokens.encode("a cat 猫 <end> \\n"))
        'a cat 猫 <end> \\n'
        """
        return list(self._tokenizer.encode(_valid_unicode(text), add_special_tokens=False).ids)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of some numbers; special tokens have no text, half a character is a replacement character."""
        return str(self._tokenizer.decode([number for number in numbers if number > UNKNOWN]))

    def save(self, path: Path) -> None:
        """Write the vocabulary, in the library's own format."""
        write_whole(path, self.definition.encode())


def learn_bpe(texts: Iterable[str], *, size: int = 1000) -> BPE:
    """Learn a vocabulary of `size` pieces from texts, or fewer if they have no more pairs to merge; deterministic."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < MIN_VOCABULARY:
        raise OptionError(
            f"a vocabulary of {size} pieces is too small; bytes and special tokens alone are {MIN_VOCABULARY}"
        )
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    counted_texts = _CountedTexts(texts)
    learned.train_from_iterator(counted_texts, trainer)
    if not counted_texts.character_count:
        raise DataError(EMPTY)
    return BPE(learned.to_str())


def load_bpe(path: Path) -> BPE:
    """The vocabulary that `save` wrote; one from elsewhere must have the special tokens in the same places."""
    tokens = BPE(path.read_text("utf-8"))
    try:
        firsts = [tokens._tokenizer.id_to_token(number) for number in range(len(SPECIALS))]
    except Exception as error:  # the library raises a plain Exception for whatever it cannot read
        raise DataError(f"{path} is no vocabulary of the tokenizers library: {error}") from None
    if tuple(firsts) != SPECIALS:
        raise DataError(f"{path} begins with {firsts}, expected {list(SPECIALS)}; train the model again")
    return tokens


class _CountedTexts:
    """Passes texts on one by one, so that no corpus need fit into memory, and counts their characters."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts, self.character_count = texts, 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.character_count += len(text)
            yield _valid_unicode(text)


def _valid_unicode(text: str) -> str:
    """The text itself; raises DataError if it holds half of a surrogate pair, which cannot be encoded."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        before = text[max(0, error.start - 20) : error.start]
        raise DataError(
            f"a text has {text[error.start]!r} after {before!r}, which is no Unicode character; was it decoded from "
            "another encoding?"
        ) from None
    return text
