"""Refining: several candidates for each request, some filtered out, one chosen.

A refining is written as parts joined by `+`: how candidates are made and picked, then filters, such
as `plain`, `best-of-4`, `best-of-8+no-copies`, `first-of-8-above-0.9+no-copies`. Filters act first,
then the picker chooses among those left. N stands for a number in the names below; wherever a name
is accepted, `package.module:attribute` of a filter `(Pool) -> Pool` is too.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.base.registry import attribute
from tolerate.errors import OptionError, hint
from tolerate.refine.pool import Choice, Pool
from tolerate.refine.steps import above, best_of, first_of, no_copies, plain

__all__ = ["FILTERS", "PICKERS", "REFINERS", "Choice", "Pool", "Refining", "parse", "refine"]

Picker = Callable[..., Choice]
Filter = Callable[..., Pool]

PICKERS: dict[str, Picker] = {"plain": plain, "best-of-N": best_of, "first-of-N-above-N": first_of}
FILTERS: dict[str, Filter] = {"above-N": above, "no-copies": no_copies}
REFINERS: dict[str, Picker | Filter] = {**PICKERS, **FILTERS}

MAX_CANDIDATES = 1000  # for one request
_NUMBER = re.compile(r"(?<=-)\d+(?:\.\d+)?(?=-|$)")


@dataclass(frozen=True)
class Refining:
    """A way to choose one of several candidates, read from its name."""

    name: str
    candidates: int  # made for each request, at most
    picker: Callable[[Pool], Choice]
    filters: tuple[Callable[[Pool], Pool], ...]

    def choose(self, scores: NDArray[np.floating], copies: NDArray[np.floating] | None = None) -> Choice:
        """Choose for each request from its own candidates' scores and distances from copies, [requests, k].

        >>> parse("best-of-2+above-0.5").choose(np.array([[0.2, 0.4], [0.6, 0.9]])).index.tolist()
        [-1, 1]
        """
        pool = Pool.of(scores, copies).first(self.candidates)
        if pool.scores.shape[1] < self.candidates:
            raise OptionError(
                f"{self.name} chooses among {self.candidates} candidates, got {pool.scores.shape[1]} a request"
            )
        for filter_ in self.filters:
            pool = filter_(pool)
        return self.picker(pool)


def parse(name: str) -> Refining:
    """Parse the name of a refining.

    >>> parse("best-of-8+no-copies").candidates
    8
    """
    first, *rest = [part.strip() for part in name.split("+")]
    kind, numbers = _split(first)
    if kind not in PICKERS:
        raise OptionError(f'the refining "{name}" starts with "{first}". {hint(kind, PICKERS)}')
    candidates = numbers[0] if numbers else 1.0
    if candidates != int(candidates) or not 1 <= candidates <= MAX_CANDIDATES:
        raise OptionError(f'"{first}" asks for {candidates:g} candidates; expected 1 to {MAX_CANDIDATES}')
    picker = partial(_with, PICKERS[kind], numbers)
    return Refining(name, int(candidates), picker, tuple(_filter(name, part) for part in rest))


def _filter(name: str, part: str) -> Callable[[Pool], Pool]:
    if ":" in part:
        step: Filter = attribute(part)
        return step
    kind, numbers = _split(part)
    if kind in PICKERS:
        raise OptionError(f'the refining "{name}" picks twice; after the first "+" come filters: {_names()}')
    if kind not in FILTERS:
        raise OptionError(f'"{part}" in the refining "{name}" is no filter. {hint(kind, FILTERS)}')
    return partial(_with, FILTERS[kind], numbers)


def _names() -> str:
    return ", ".join(FILTERS)


def _split(part: str) -> tuple[str, list[float]]:
    """The name of a part with N for its numbers, and the numbers.

    >>> _split("first-of-8-above-0.9")
    ('first-of-N-above-N', [8.0, 0.9])
    """
    return _NUMBER.sub("N", part), [float(number) for number in _NUMBER.findall(part)]


def _with(step: Callable[..., Any], numbers: list[float], pool: Pool) -> Any:
    return step(pool, *numbers)


Judge = Callable[[Contents, Ints], Floats]  # (contents [n, ...], requests [n]) -> scores [n]
Repair = Callable[[Contents, Ints], Contents]  # contents in, repaired contents out


def refine(
    contents: Contents,
    requests: Ints,
    judge: Judge,
    how: Refining,
    *,
    nearness: Callable[[Contents], Floats] | None = None,
    repair: Repair | None = None,
) -> tuple[Contents, Choice]:
    """Repair, score and choose candidates: one content a request [requests, ...] and how it was chosen.

    contents: [requests, k, ...] candidates; requests: [requests].
    nearness: how far each content is from being a copy (0 and below: one), for `no-copies`.
    repair: repairs each candidate before it is scored; it sees one candidate and its request at a time.

    Where nothing is left the content is the first candidate, and the choice's index is -1.
    """
    n, k = contents.shape[:2]
    flat, repeated_requests = contents.reshape(n * k, *contents.shape[2:]), np.repeat(requests, k)
    if repair is not None:
        flat = repair(flat, repeated_requests)
    copy_distances = None if nearness is None else nearness(flat).reshape(n, k)
    choice = how.choose(judge(flat, repeated_requests).reshape(n, k), copy_distances)
    repaired = flat.reshape(n, k, *flat.shape[1:])
    return repaired[np.arange(n), np.maximum(choice.index, 0)], choice
