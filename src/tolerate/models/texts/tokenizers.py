"""Vocabularies of any kind: learned by the name of their kind, or read from the file that one of them wrote.

words        words with the space before them (`tokens`)
characters   single characters
bpe:1000     a byte-level BPE of so many pieces (`bpe`)
"""

from collections.abc import Iterable
from pathlib import Path

from tolerate.base.files import read_json
from tolerate.errors import DataError, OptionError
from tolerate.models.texts.bpe import learn_bpe, load_bpe
from tolerate.models.texts.tokens import SPECIAL, Tokenizer, Tokens, characters, learn_tokens


def learn_vocabulary(kind: str, texts: Iterable[str]) -> Tokenizer:
    """The vocabulary of some texts by the name of its kind: words, characters, or bpe:1000 for so many pieces.

    >>> len(learn_vocabulary("characters", ["abc"]))
    7
    """
    name, _, size = kind.partition(":")
    if name == "bpe" and (size or "1000").isdecimal():
        return learn_bpe(texts, size=int(size or 1000))
    if kind not in ("words", "characters"):
        raise OptionError(f'no tokens are called "{kind}"; try words, characters, or bpe:1000')
    return learn_tokens(texts) if kind == "words" else characters(texts)


def load_vocabulary(path: Path) -> Tokenizer:
    """The vocabulary that `save` wrote, of any kind."""
    stored = read_json(path, "the vocabulary of a trained writer")
    if isinstance(stored, dict) and stored.get("model", {}).get("type") == "BPE":
        return load_bpe(path)
    if not isinstance(stored, list) or tuple(stored[: len(SPECIAL)]) != SPECIAL:
        raise DataError(f"{path} is no vocabulary that tolerate wrote; train the model again")
    return Tokens(tuple(stored))
