"""Common metrics of texts: BLEU, chrF, distinct n-grams. They compare models; no promise depends on them."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from tolerate.errors import DataError

WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Split a text into lower-case words and punctuation marks; Chinese into characters.

    >>> words("A cat, 床前")
    ['a', 'cat', ',', '床', '前']
    """
    return [
        part for word in WORD.findall(text.lower()) for part in (list(word) if _chinese(word) else [word])
    ]


def _chinese(word: str) -> bool:
    return any("一" <= sign <= "鿿" for sign in word)


def _grams(parts: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(parts[start : start + n]) for start in range(len(parts) - n + 1))


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
    for text, alternatives in zip(texts, references, strict=True):
        parts, reference_words = words(text), [words(reference) for reference in alternatives]
        length += len(parts)
        closest += min((abs(len(reference) - len(parts)), len(reference)) for reference in reference_words)[1]
        for size in range(1, n + 1):
            grams = _grams(parts, size)
            reference_grams: Counter[tuple[str, ...]] = Counter()
            for reference in reference_words:
                reference_grams |= _grams(reference, size)
            hits[size - 1] += sum((grams & reference_grams).values())
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
    for text, alternatives in zip(texts, references, strict=True):
        overlaps = [_overlaps(text, reference, n) for reference in alternatives]
        best = max(overlaps, key=lambda counts: _f_score(counts, beta))
        sums = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(sums, best, strict=True)]
    return _f_score(sums, beta)


def _overlaps(text: str, reference: str, n: int) -> list[list[int]]:
    """For each size: shared n-grams, those of the text, those of the reference; spaces left out."""
    letters, reference_letters = (list(re.sub(r"\s+", "", string)) for string in (text, reference))
    counts = []
    for size in range(1, n + 1):
        grams, reference_grams = _grams(letters, size), _grams(reference_letters, size)
        counts.append(
            [sum((grams & reference_grams).values()), sum(grams.values()), sum(reference_grams.values())]
        )
    return counts


def _f_score(counts: Sequence[Sequence[int]], beta: float) -> float:
    usable = [
        (hit / total, hit / reference_total)
        for hit, total, reference_total in counts
        if total and reference_total
    ]
    if not usable:
        return 0.0
    precision, recall = (sum(ratios) / len(usable) for ratios in zip(*usable, strict=True))
    denominator = beta**2 * precision + recall
    return 0.0 if denominator == 0 else (1 + beta**2) * precision * recall / denominator


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Distinct n-grams as a share of all n-grams of the texts: low where a model repeats itself. Li et al. 2016.

    >>> distinct(["a b a b"])
    0.6666666666666666
    """
    grams = [gram for text in texts for gram in _grams(words(text), n).elements()]
    return len(set(grams)) / len(grams) if grams else 0.0
