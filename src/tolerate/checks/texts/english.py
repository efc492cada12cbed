"""Is a word English? By the words of texts that are, a list of modern ones, and the endings of Shakespeare's time.

The list is the one that symspellpy brings (82,765 words, Garbe's merge of SCOWL and Google Books); its code is not
loaded. No list is whole: how many good lines it refuses is measured wherever it is used.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from tolerate.errors import OptionError

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
LIST = "frequency_dictionary_en_82_765.txt"
# Endings that modern lists lack: (ending, what may stand in its place, letters left at least).
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
def listed() -> frozenset[str]:
    """The modern words, in lower case."""
    found = find_spec("symspellpy")
    if found is None or not found.submodule_search_locations:
        raise OptionError(
            'the list of English words comes with symspellpy; try: pip install "tolerate[text]"'
        )
    text = (Path(found.submodule_search_locations[0]) / LIST).read_text("utf-8-sig")
    return frozenset(line.split()[0].lower() for line in text.splitlines() if line.strip())


def words_of(text: str) -> list[tuple[int, int, str]]:
    """The words of a text: from where, to where, and which.

    >>> words_of("We know't, sir.")
    [(0, 2, 'We'), (3, 9, "know't"), (11, 14, 'sir')]
    """
    return [(found.start(), found.end(), found.group()) for found in WORD.finditer(text)]


class English:
    """Words that pass: those of some texts, those of the list, and both with old endings.

    >>> English(["Lucentio loved"]).strange("Lucentio sev'd where she loveth thoughters")
    [(9, 14), (32, 42)]
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.learned = frozenset(word.lower() for text in texts for _, _, word in words_of(text))
        self.known = self.learned | listed()

    def strange(self, text: str, names: str = "") -> list[tuple[int, int]]:
        """Where words stand that are not English; `names`: a text whose words pass too."""
        also = {word.lower() for _, _, word in words_of(names)}
        return [
            (start, end)
            for start, end, word in words_of(text)
            if word.lower() not in also and not self.has(word)
        ]

    def has(self, word: str) -> bool:
        """Whether a word passes."""
        low = word.lower()
        return (
            low in self.known
            or any(self._ends(low, *each) for each in ENDINGS)
            or (low.startswith("un") and len(low) >= 7 and self.has(low[2:]))
        )

    def _ends(self, low: str, ending: str, instead: tuple[str, ...], least: int) -> bool:
        stem = low.removesuffix(ending)
        return stem != low and len(stem) >= least and any(stem + each in self.known for each in instead)
