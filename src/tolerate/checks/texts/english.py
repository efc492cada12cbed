"""Check whether words are English: by the words of English texts, a list of modern words, and older endings.

The list is the one that symspellpy brings (82,765 words, Garbe's merge of SCOWL and Google Books); its code is not
loaded. No list is complete: the share of correct lines that it refuses is measured wherever it is used.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tolerate.errors import OptionError

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
LIST = "frequency_dictionary_en_82_765.txt"
# Endings that modern lists lack: (ending, possible replacements, fewest letters before it).
ENDINGS = (
    ("'d", ("ed", "d", ""), 3),
    ("'st", ("", "e", "est"), 3),
    ("'s", ("",), 2),
    ("'t", ("",), 2),
    ("'ll", ("",), 2),
    ("eth", ("", "e"), 3),
    ("est", ("", "e"), 3),
)


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """The modern words in lower case; needs symspellpy."""
    package = find_spec("symspellpy")
    if package is None or not package.submodule_search_locations:
        raise OptionError(
            'the list of English words comes with symspellpy; try: pip install "tolerate[text]"'
        )
    text = (Path(package.submodule_search_locations[0]) / LIST).read_text("utf-8-sig")
    return frozenset(line.split()[0].lower() for line in text.splitlines() if line.strip())


def words_of(text: str) -> list[tuple[int, int, str]]:
    """The words of a text as (start, end, word).

    >>> words_of("We know't, sir.")
    [(0, 2, 'We'), (3, 9, "know't"), (11, 14, 'sir')]
    """
    return [(match.start(), match.end(), match.group()) for match in WORD.finditer(text)]


class English:
    """A vocabulary: the words of the given texts and of the list, also with older endings.

    >>> English(["Lucentio loved"]).unknown_words("Lucentio sev'd where she loveth thoughters")
    [(9, 14), (32, 42)]
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.text_words = frozenset(word.lower() for text in texts for _, _, word in words_of(text))
        self.words = self.text_words | english_words()

    def unknown_words(self, text: str, names: str = "") -> list[tuple[int, int]]:
        """The spans of words that are not English; `names`: a text whose words are accepted too."""
        allowed = {word.lower() for _, _, word in words_of(names)}
        return [
            (start, end)
            for start, end, word in words_of(text)
            if word.lower() not in allowed and not self.has(word)
        ]

    def has(self, word: str) -> bool:
        """Whether a word is English."""
        lower = word.lower()
        return (
            lower in self.words
            or any(self._has_ending(lower, *ending) for ending in ENDINGS)
            or (lower.startswith("un") and len(lower) >= 7 and self.has(lower[2:]))
        )

    def _has_ending(self, word: str, ending: str, replacements: tuple[str, ...], min_letters: int) -> bool:
        stem = word.removesuffix(ending)
        return (
            stem != word
            and len(stem) >= min_letters
            and any(stem + replacement in self.words for replacement in replacements)
        )
