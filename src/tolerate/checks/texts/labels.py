"""Which of a set of labels an answer names: "Positive.", "The sentiment is positive" and "label: POSITIVE" all do."""

import re
import unicodedata
from collections.abc import Sequence

_NOT = re.compile(r"\b(?:not|no|never|isn't|neither|nor)\s+(?:\w+\s+)?$|[不非]$", re.I)


def label_in(text: str, labels: Sequence[str]) -> str | None:
    """The one label that an answer names; None if it names none, several, or denies it.

    >>> said, texts = ["positive", "very positive", "negative"], ("**Positive**.", "It is very positive!")
    >>> [label_in(text, said) for text in (*texts, "not negative", "positive or negative")]
    ['positive', 'very positive', None, None]
    """
    whole = _bare(text)
    for label in labels:
        if whole == _bare(label):
            return label
    left = unicodedata.normalize("NFKC", text)
    found = []
    for label in sorted(labels, key=len, reverse=True):  # so that "very positive" is not taken for "positive"
        pattern = _pattern(label)
        for match in pattern.finditer(left):
            if _NOT.search(left[: match.start()]):
                return None
            found.append(label)
        left = pattern.sub("\n", left)
    return found[0] if len(set(found)) == 1 else None


def _bare(text: str) -> str:
    return re.sub(r"^\W+|\W+$", "", unicodedata.normalize("NFKC", text)).casefold()


def _pattern(label: str) -> re.Pattern[str]:
    """A label as a word of its own; in scripts without spaces, wherever it stands."""
    spelled = re.escape(unicodedata.normalize("NFKC", label))
    return re.compile(rf"(?<!\w){spelled}(?!\w)" if label.isascii() else spelled, re.I)
