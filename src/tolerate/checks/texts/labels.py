"""Find the label that an answer names, as in "Positive.", "The sentiment is positive" and "label: POSITIVE"."""

import re
import unicodedata
from collections.abc import Sequence

_NOT = re.compile(r"\b(?:not|no|never|isn't|neither|nor)\s+(?:\w+\s+)?$|[不非]$", re.I)


def label_in(text: str, labels: Sequence[str]) -> str | None:
    """The one label that an answer names; None if it names none, several, or denies it.

    >>> labels, texts = ["positive", "very positive", "negative"], ("**Positive**.", "It is very positive!")
    >>> [label_in(text, labels) for text in (*texts, "not negative", "positive or negative")]
    ['positive', 'very positive', None, None]
    """
    bare_text = _normalised(text)
    for label in labels:
        if bare_text == _normalised(label):
            return label
    rest = unicodedata.normalize("NFKC", text)
    named = []
    for label in sorted(labels, key=len, reverse=True):  # so that "very positive" is not taken for "positive"
        pattern = _pattern(label)
        for match in pattern.finditer(rest):
            if _NOT.search(rest[: match.start()]):
                return None
            named.append(label)
        rest = pattern.sub("\n", rest)
    return named[0] if len(set(named)) == 1 else None


def _normalised(text: str) -> str:
    return re.sub(r"^\W+|\W+$", "", unicodedata.normalize("NFKC", text)).casefold()


def _pattern(label: str) -> re.Pattern[str]:
    """A label as a word of its own; in scripts without spaces, wherever it stands."""
    spelled = re.escape(unicodedata.normalize("NFKC", label))
    return re.compile(rf"(?<!\w){spelled}(?!\w)" if label.isascii() else spelled, re.I)
