"""Refining texts: vote, rank, filter by rule, mend.

A refining is written as parts joined by `+`: how candidates are made and picked (`plain`, `best-of-N`,
`vote-of-N`), then any of `rules` (drop what a cheap rule refuses), `repair` (mend by rule what can be) and
`no-copies` (drop what repeats a training text). Filters act first, then the picker chooses among those left.
Each request is refined by itself, so items stay as exchangeable as the requests were.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerate.errors import OptionError, hint

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Opinion = Callable[[Ints, Floats], Floats]  # (candidate a request, share of votes) -> score

MOST = 1000  # candidates a request
PARTS = ("rules", "repair", "no-copies")
PICKERS = ("plain", "best-of-N", "vote-of-N")


@dataclass(frozen=True)
class TextPool:
    """Candidates of many requests: arrays of [requests, 2k], the k as written and then the same mended.

    meanings: a number for what each says; those that agree share it. alone: the judge's opinion of each.
    fit: what the rule lets pass. copies: how far each is from being a copy; 0 and below is one.
    opinion: the judge's opinion of a chosen candidate, given the share of candidates that agree with it.
    """

    meanings: Ints
    alone: Floats
    fit: Mask
    copies: Floats
    opinion: Opinion

    @property
    def count(self) -> int:
        """Candidates of a request, mended ones not counted."""
        return int(self.alone.shape[1]) // 2


@dataclass(frozen=True)
class TextRefining:
    """A way to choose one of several texts, read from its name."""

    name: str
    picker: str
    candidates: int
    parts: tuple[str, ...]

    def choose(self, pool: TextPool) -> tuple[Ints, Floats]:
        """Which candidate answers each request, -1 for none, and its score, NaN for none."""
        if pool.count < self.candidates:
            raise OptionError(f"{self.name} chooses among {self.candidates} candidates, got {pool.count}")
        first = pool.count if "repair" in self.parts else 0
        places = np.arange(first, first + self.candidates)
        left = np.ones((len(pool.alone), len(places)), dtype=bool)
        if "rules" in self.parts:
            left &= pool.fit[:, places]
        if "no-copies" in self.parts:
            left &= pool.copies[:, places] > 0
        likely, meanings = pool.alone[:, places], pool.meanings[:, places]
        votes = np.where(left, votes_for(meanings, left), 0.0)
        share = votes / self.candidates
        rank = share + 1e-3 * likely if self.picker == "vote-of-N" else likely
        chosen = np.where(left, rank, -np.inf).argmax(1)
        rows = np.arange(len(left))
        none = ~left[rows, chosen]
        scores = self._scores(pool, places[chosen], share[rows, chosen], likely[rows, chosen])
        return np.where(none, -1, places[chosen]), np.where(none, np.nan, scores)

    def _scores(self, pool: TextPool, index: Ints, share: Floats, likely: Floats) -> Floats:
        return pool.opinion(index, share) if self.picker == "vote-of-N" else likely


def votes_for(meanings: Ints, left: Mask) -> Floats:
    """How many of a request's candidates that are left say the same as each: [requests, k].

    >>> votes_for(np.array([[5, 7, 5]]), np.array([[True, True, True]])).tolist()
    [[2.0, 1.0, 2.0]]
    """
    same = (meanings[:, :, None] == meanings[:, None, :]) & left[:, None, :]
    return np.asarray(same.sum(2), dtype=np.float64)


def parse_text(name: str) -> TextRefining:
    """The refining that a name means.

    >>> parse_text("vote-of-4+repair+rules").candidates
    4
    """
    first, *rest = [part.strip() for part in name.split("+")]
    kind = re.sub(r"\d+$", "N", first)
    if kind not in PICKERS:
        raise OptionError(f'the refining "{name}" starts with "{first}". {hint(first, PICKERS)}')
    for part in rest:
        if part not in PARTS:
            raise OptionError(f'"{part}" in the refining "{name}" is no part. {hint(part, PARTS)}')
    count = 1 if kind == "plain" else int(first.rpartition("-")[2])
    if not 1 <= count <= MOST:
        raise OptionError(f'"{first}" asks for {count} candidates; expected 1 to {MOST}')
    return TextRefining(name, kind, count, tuple(rest))
