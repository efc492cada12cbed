"""Texts as pieces that often come together: byte pair encoding over bytes. Sennrich et al. 2016, arXiv:1508.07909.

Learned by the `tokenizers` library from the texts at hand: a thousand pieces from a megabyte in a third of a
second. Since it works on bytes (Radford et al. 2019) nothing is unknown and nothing is lost, in any language:
what was never seen is spelled in bytes. Digits stand alone, as in Llama's, so that numbers can be copied.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tolerate.base.files import write_whole
from tolerate.errors import DataError, OptionError
from tolerate.models.texts.tokens import EMPTY, SPECIAL, UNKNOWN

BYTES = 256
SPECIALS = (*SPECIAL[:UNKNOWN], "<unknown>")
MIN_VOCABULARY = len(SPECIAL) + BYTES  # of a vocabulary
BATCH = 1000  # texts handed to the library at once

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one thread a process, as everywhere in the house


@dataclass(frozen=True)
class BPE:
    """A byte-level vocabulary, as the `tokenizers` library writes it down; the special tokens come first."""

    definition: str

    @cached_property
    def _learned(self) -> Any:
        from tokenizers import Tokenizer

        learned = Tokenizer.from_str(self.definition)
        learned.encode_special_tokens = True  # "<end>" in a text is five signs, not an end
        return learned

    def __len__(self) -> int:
        return int(self._learned.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """A text as numbers.

        >>> tokens = learn_bpe(["a cat, a hat"] * 3, size=280)
        >>> tokens.decode(tokens.encode("a cat 猫 <end> \\n"))
        'a cat 猫 <end> \\n'
        """
        return list(self._learned.encode(_unicode(text), add_special_tokens=False).ids)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of some numbers; filling, beginning and end say nothing, half a sign is a replacement character."""
        return str(self._learned.decode([number for number in numbers if number > UNKNOWN]))

    def save(self, path: Path) -> None:
        """Write the vocabulary, in the library's own format."""
        write_whole(path, self.definition.encode())


def learn_bpe(texts: Iterable[str], *, size: int = 1000) -> BPE:
    """The vocabulary of `size` pieces that spells some texts in few of them; the same for the same texts.

    Fewer pieces come out where the texts have no more pairs to join.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < MIN_VOCABULARY:
        raise OptionError(
            f"a vocabulary of {size} pieces is too small; bytes and signs alone are {MIN_VOCABULARY}"
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
    if not counted_texts.signs:
        raise DataError(EMPTY)
    return BPE(learned.to_str())


def load_bpe(path: Path) -> BPE:
    """The vocabulary that `save` wrote; one from elsewhere must have the special tokens in the same places."""
    tokens = BPE(path.read_text("utf-8"))
    try:
        firsts = [tokens._learned.id_to_token(number) for number in range(len(SPECIALS))]
    except Exception as error:  # the library raises a plain Exception for whatever it cannot read
        raise DataError(f"{path} is no vocabulary of the tokenizers library: {error}") from None
    if tuple(firsts) != SPECIALS:
        raise DataError(f"{path} begins with {firsts}, expected {list(SPECIALS)}; train the model again")
    return tokens


class _CountedTexts:
    """Texts passed on one by one, so that no corpus need fit into memory; counts their signs."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts, self.signs = texts, 0

    def __iter__(self) -> Any:
        for text in self.texts:
            self.signs += len(text)
            yield _unicode(text)


def _unicode(text: str) -> str:
    """The text, if it can be written down: half of a surrogate pair is no sign of any language."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        before = text[max(0, error.start - 20) : error.start]
        raise DataError(
            f"a text goes on with {text[error.start]!r} after {before!r}, which is no sign of Unicode; was it decoded "
            "from another encoding?"
        ) from None
    return text
