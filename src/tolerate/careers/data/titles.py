"""Finds an occupation by any of its names, whatever the case, the ending or the language, and despite misspellings."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from tolerate.careers.data.atlas import Atlas, Occupation
from tolerate.careers.data.text import tokens
from tolerate.errors import DataError

MIN_SCORE = 0.62  # of a match; below it an occupation is only named as near


@dataclass(frozen=True)
class TitleMatch:
    """An occupation, the name that matches, and how well it matches (1: exactly)."""

    occupation: Occupation
    name: str
    score: float


def find_occupation(atlas: Atlas, query: str) -> Occupation:
    """The occupation that a title or code means; DataError with the nearest if nothing matches."""
    matches = search_titles(atlas, query)
    if matches and matches[0].score >= MIN_SCORE:
        return matches[0].occupation
    nearest = "; ".join(f"{match.occupation.title} ({match.occupation.code})" for match in matches[:4])
    where = "the embedded table" if atlas.embedded else atlas.version
    advice = (
        ' More occupations: tolerate career data --from RELEASE (see "tolerate career data --help").'
        if atlas.embedded
        else ""
    )
    raise DataError(f'no occupation in {where} is called "{query}". Nearest: {nearest or "none"}.{advice}')


def search_titles(atlas: Atlas, query: str, max_matches: int = 8) -> list[TitleMatch]:
    """Occupations whose code, title or alternate title matches, best first."""
    query = query.strip()
    codes = atlas.current_codes(query) if query[:2].isdigit() else ()
    if codes:
        return [TitleMatch(atlas.occupations[code], code, 1.0) for code in codes[:max_matches]]
    exact = [
        TitleMatch(occupation, name, 1.0)
        for occupation in atlas.occupations.values()
        for name in _names(occupation)
        if name.lower() == query.lower()
    ]
    stems = tokens(query)
    best = [
        max(_score_names(occupation, query, stems), key=lambda match: match.score)
        for occupation in atlas.occupations.values()
    ]
    rest = sorted((match for match in best if match.score > 0), key=_sort_key)
    exact_by_code = {match.occupation.code: match for match in sorted(exact, key=_sort_key)}
    return [
        *exact_by_code.values(),
        *(match for match in rest if match.occupation.code not in exact_by_code),
    ][:max_matches]


def _names(occupation: Occupation) -> tuple[str, ...]:
    return (occupation.title, occupation.title_zh, *occupation.aliases)


def _sort_key(match: TitleMatch) -> tuple[float, int]:
    return -round(match.score, 3), len(match.occupation.title)


def _score_names(occupation: Occupation, query: str, stems: list[str]) -> Iterator[TitleMatch]:
    """A match for each name; the title scores a little more than an alternate title that matches as well."""
    yield TitleMatch(occupation, occupation.title, _name_score(query, occupation.title, stems))
    if occupation.title_zh:
        yield TitleMatch(occupation, occupation.title_zh, _name_score(query, occupation.title_zh, stems))
    for name in occupation.aliases:
        yield TitleMatch(occupation, name, 0.99 * _name_score(query, name, stems))


def _name_score(query: str, name: str, stems: list[str]) -> float:
    """Between 0 and 1. Names without a common stem score 0 if length or first letter differ."""
    text, other = query.lower(), name.lower()
    if text == other:
        return 1.0
    if not text.isascii():
        return 0.0 if other.isascii() else _chinese_score(text, other)
    is_near = abs(len(text) - len(other)) <= 3 and text[:1] == other[:1]
    shared = any(part in other for part in stems)
    return max(_stem_score(stems, other) if shared else 0.0, _spelling_score(text, other) if is_near else 0.0)


def _chinese_score(query: str, name: str) -> float:
    """The share of common pairs of characters; a text within the other scores by its length."""
    if query in name or name in query:
        return 0.7 + 0.25 * min(len(query), len(name)) / max(len(query), len(name))
    pairs = [{text[k : k + 2] for k in range(len(text) - 1)} for text in (query, name)]
    return 0.9 * len(pairs[0] & pairs[1]) / max(len(pairs[0] | pairs[1]), 1)


def _stem_score(stems: list[str], other: str) -> float:
    query_stems, name_stems = set(stems), set(tokens(other))
    shared = len(query_stems & name_stems)
    if not shared:
        return 0.0
    return 0.96 * (0.75 * shared / len(query_stems) + 0.25 * shared / len(name_stems))


def _spelling_score(text: str, other: str) -> float:
    """Similarity letter by letter, for misspellings."""
    matcher = SequenceMatcher(None, text, other, autojunk=False)
    return 0.0 if matcher.quick_ratio() < 0.8 else max(0.0, 0.95 * matcher.ratio() - 0.05)
