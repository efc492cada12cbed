"""Finds an occupation by any of its names, forgiving case, endings, typing errors and language."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from tolerate.careers.data.atlas import Atlas, Occupation
from tolerate.careers.data.text import tokens
from tolerate.errors import DataError

GOOD = 0.62  # below this a find is no find, only the nearest


@dataclass(frozen=True)
class Found:
    """An occupation, the name by which it was found, and how well that fits (1: exactly)."""

    occupation: Occupation
    name: str
    fit: float


def find(atlas: Atlas, wanted: str) -> Occupation:
    """The one occupation that is meant; DataError with the nearest if nothing fits."""
    found = search(atlas, wanted)
    if found and found[0].fit >= GOOD:
        return found[0].occupation
    near = "; ".join(f"{each.occupation.title} ({each.occupation.code})" for each in found[:4])
    where = "the embedded table" if atlas.embedded else atlas.version
    more = (
        ' More occupations: tolerate career data --from RELEASE (see "tolerate career data --help").'
        if atlas.embedded
        else ""
    )
    raise DataError(f'no occupation in {where} is called "{wanted}". Nearest: {near or "none"}.{more}')


def search(atlas: Atlas, wanted: str, most: int = 8) -> list[Found]:
    """Occupations whose code, title or other title fits, best first."""
    wanted = wanted.strip()
    codes = atlas.current(wanted) if wanted[:2].isdigit() else ()
    if codes:
        return [Found(atlas.occupations[code], code, 1.0) for code in codes[:most]]
    exact = [
        Found(each, name, 1.0)
        for each in atlas.occupations.values()
        for name in _names(each)
        if name.lower() == wanted.lower()
    ]
    stems = tokens(wanted)
    best = [
        max(_fits(each, wanted, stems), key=lambda found: found.fit) for each in atlas.occupations.values()
    ]
    rest = sorted((each for each in best if each.fit > 0), key=_order)
    sure = {found.occupation.code: found for found in sorted(exact, key=_order)}
    return [*sure.values(), *(each for each in rest if each.occupation.code not in sure)][:most]


def _names(occupation: Occupation) -> tuple[str, ...]:
    return (occupation.title, occupation.title_zh, *occupation.aliases)


def _order(found: Found) -> tuple[float, int]:
    return -round(found.fit, 3), len(found.occupation.title)


def _fits(occupation: Occupation, wanted: str, stems: list[str]) -> Iterator[Found]:
    """How well each name fits; the title a little better than another title of the same fit."""
    yield Found(occupation, occupation.title, _fit(wanted, occupation.title, stems))
    if occupation.title_zh:
        yield Found(occupation, occupation.title_zh, _fit(wanted, occupation.title_zh, stems))
    for name in occupation.aliases:
        yield Found(occupation, name, 0.99 * _fit(wanted, name, stems))


def _fit(wanted: str, name: str, stems: list[str]) -> float:
    """Between 0 and 1; names that share no stem are passed over without a closer look."""
    one, other = wanted.lower(), name.lower()
    if one == other:
        return 1.0
    if not one.isascii():
        return 0.0 if other.isascii() else _chinese(one, other)
    near = abs(len(one) - len(other)) <= 3 and one[:1] == other[:1]
    shared = any(part in other for part in stems)
    return max(_words(stems, other) if shared else 0.0, _typed(one, other) if near else 0.0)


def _chinese(one: str, other: str) -> float:
    """Shared pairs of signs; one within the other counts by its length."""
    if one in other or other in one:
        return 0.7 + 0.25 * min(len(one), len(other)) / max(len(one), len(other))
    pairs = [{text[k : k + 2] for k in range(len(text) - 1)} for text in (one, other)]
    return 0.9 * len(pairs[0] & pairs[1]) / max(len(pairs[0] | pairs[1]), 1)


def _words(stems: list[str], other: str) -> float:
    mine, theirs = set(stems), set(tokens(other))
    shared = len(mine & theirs)
    if not shared:
        return 0.0
    return 0.96 * (0.75 * shared / len(mine) + 0.25 * shared / len(theirs))


def _typed(one: str, other: str) -> float:
    """Likeness letter by letter, for typing errors."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return 0.0 if matcher.quick_ratio() < 0.8 else max(0.0, 0.95 * matcher.ratio() - 0.05)
