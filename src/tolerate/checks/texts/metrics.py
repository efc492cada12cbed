"""Figures of texts that people know: BLEU, chrF, distinct n-grams. They rank writers; no promise rests on them."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from tolerate.errors import DataError

WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and signs of a text, in lower case; Chinese by characters.

    >>> words("A cat, 床前")
    ['a', 'cat', ',', '床', '前']
    """
    return [
        part for word in WORD.findall(text.lower()) for part in (list(word) if _chinese(word) else [word])
    ]


def _chinese(word: str) -> bool:
    return any("一" <= sign <= "鿿" for sign in word)


def _grams(parts: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(parts[at : at + n]) for at in range(len(parts) - n + 1))


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]], n: int = 4) -> float:
    """Corpus BLEU in [0, 1] against several references each. Papineni et al. 2002.

    >>> bleu(["the cat sat on the mat"], [["the cat sat on the mat"]])
    1.0
    """
    if len(texts) != len(references) or not all(references):
        raise DataError(
            f"{len(texts)} texts with {len(references)} lists of references; expected one list each, not empty"
        )
    hits, totals = [0] * n, [0] * n
    length = closest = 0
    for text, goods in zip(texts, references, strict=True):
        parts, others = words(text), [words(good) for good in goods]
        length += len(parts)
        closest += min((abs(len(other) - len(parts)), len(other)) for other in others)[1]
        for size in range(1, n + 1):
            found = _grams(parts, size)
            most: Counter[tuple[str, ...]] = Counter()
            for other in others:
                most |= _grams(other, size)
            hits[size - 1] += sum((found & most).values())
            totals[size - 1] += max(len(parts) - size + 1, 0)
    if min(hits) == 0 or length == 0:
        return 0.0
    precision = sum(math.log(hit / total) for hit, total in zip(hits, totals, strict=True)) / n
    return math.exp(precision + min(0.0, 1 - closest / length))


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]], n: int = 6, beta: float = 2.0) -> float:
    """Corpus chrF2 in [0, 1]: F-score of character n-grams, the best reference each. Popović 2015.

    >>> chrf(["abcdefg"], [["abcdefg"]])
    1.0
    """
    sums = [[0, 0, 0] for _ in range(n)]
    for text, goods in zip(texts, references, strict=True):
        counted = [_overlaps(text, good, n) for good in goods]
        best = max(counted, key=lambda each: _f_score(each, beta))
        sums = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(sums, best, strict=True)]
    return _f_score(sums, beta)


def _overlaps(text: str, good: str, n: int) -> list[list[int]]:
    """For each size: shared n-grams, those of the text, those of the reference; spaces left out."""
    here, there = (list(re.sub(r"\s+", "", each)) for each in (text, good))
    found = []
    for size in range(1, n + 1):
        mine, other = _grams(here, size), _grams(there, size)
        found.append([sum((mine & other).values()), sum(mine.values()), sum(other.values())])
    return found


def _f_score(counts: Sequence[Sequence[int]], beta: float) -> float:
    usable = [(hit / mine, hit / other) for hit, mine, other in counts if mine and other]
    if not usable:
        return 0.0
    precision, recall = (sum(each) / len(usable) for each in zip(*usable, strict=True))
    below = beta**2 * precision + recall
    return 0.0 if below == 0 else (1 + beta**2) * precision * recall / below


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Share of the texts' n-grams that are different ones: low where a writer repeats itself. Li et al. 2016.

    >>> distinct(["a b a b"])
    0.6666666666666666
    """
    grams = [gram for text in texts for gram in _grams(words(text), n).elements()]
    return len(set(grams)) / len(grams) if grams else 0.0
