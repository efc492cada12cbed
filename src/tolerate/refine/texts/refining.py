"""Refining texts: vote, rank, filter by rule, mend, mask; and the score by which the chosen one is released.

A refining is written as parts joined by `+`: how candidates are made and picked (`plain`, `best-of-N`,
`vote-of-N`), then any of `rules` (drop what a cheap rule refuses), `repair` (repair by rule), `no-copies`
(drop what repeats a training text), `masked` (personal data masked), and at most one `by-SCORE`: the score that ranks
in place of the job's own. Filters act first, then the picker chooses among those left. Each request is refined by
itself, so items stay as exchangeable as the requests were.

A score either looks at a candidate alone (`mean`, `least`, `round-trip`, `judge`) or at how many others agree with it
(`exact`, `votes`, `alike`); of the latter, ties are broken by the job's own score, for less than half a vote.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tolerate.base.arrays import Bools, Floats, Ints
from tolerate.base.registry import check_name
from tolerate.errors import OptionError, hint

Opinion = Callable[[Ints, Floats], Floats]  # (candidate a request, share of votes) -> score
Scorer = Callable[[Ints, Ints], Floats]  # (requests [m], candidates [m]) -> scores [m]
Alike = Callable[[Ints], Floats]  # candidates [k] -> how alike two of them are, 0 to 1: [requests, k, k]

MAX_CANDIDATES = 1000  # for one request
PARTS = ("rules", "repair", "no-copies", "masked")
BY = "by-"
ALONE = ("mean", "least", "round-trip", "judge")  # scores of a candidate by itself
AGREEING = ("exact", "votes", "alike")  # scores by how many others agree
SCORES = (*ALONE, *AGREEING)
PICKERS = ("plain", "best-of-N", "vote-of-N")


@dataclass(frozen=True)
class TextPool:
    """Candidates of many requests: arrays of [requests, blocks * k], the k as written and then the same mended; where
    there are four blocks, both once more with personal data masked.

    meanings: a number for what each says; those that agree share it. alone: the judge's opinion of each.
    fit: what the rule lets pass. copies: how far each is from being a copy; 0 and below is one.
    opinion: the judge's opinion of a chosen candidate, given the share of candidates that agree with it.
    own, agreeing: further scores by name, each made only when a refining asks for it.
    """

    meanings: Ints
    alone: Floats
    fit: Bools
    copies: Floats
    opinion: Opinion
    own: Mapping[str, Scorer] = field(default_factory=dict)
    agreeing: Mapping[str, Alike] = field(default_factory=dict)
    blocks: int = 2

    @property
    def count(self) -> int:
        """Candidates of a request, changed ones not counted."""
        return int(self.alone.shape[1]) // self.blocks


@dataclass(frozen=True)
class TextRefining:
    """A way to choose one of several texts, read from its name."""

    name: str
    picker: str
    candidates: int
    parts: tuple[str, ...]

    def choose(self, pool: TextPool) -> tuple[Ints, Floats]:
        """Choose a candidate for each request: its index, -1 for none, and its score, NaN for none."""
        if pool.count < self.candidates:
            raise OptionError(f"{self.name} chooses among {self.candidates} candidates, got {pool.count}")
        first = pool.count * self.block
        columns = np.arange(first, first + self.candidates)
        available = np.ones((len(pool.alone), len(columns)), dtype=bool)
        if "rules" in self.parts:
            available &= pool.fit[:, columns]
        if "no-copies" in self.parts:
            available &= pool.copies[:, columns] > 0
        own_scores = pool.alone[:, columns]
        share = self._share(pool, columns, available)
        rank = self._rank(pool, columns, available, share, own_scores)
        chosen = np.where(available, rank, -np.inf).argmax(1)
        rows = np.arange(len(available))
        unanswered = ~available[rows, chosen]
        scores = self._scores(pool, rows, columns[chosen], share[rows, chosen], rank[rows, chosen])
        return np.where(unanswered, -1, columns[chosen]), np.where(unanswered, np.nan, scores)

    @property
    def block(self) -> int:
        """The form of the candidates that this refining uses: as written, repaired, masked, or both."""
        return ("repair" in self.parts) + 2 * ("masked" in self.parts)

    @property
    def by(self) -> str:
        """The score that ranks, where it is not the job's own; else empty."""
        return next((part.removeprefix(BY) for part in self.parts if part.startswith(BY)), "")

    def _share(self, pool: TextPool, columns: Ints, available: Bools) -> Floats:
        """Of the candidates the share that agrees with each, by the match that was asked for."""
        if self.by in pool.agreeing:
            similarity = pool.agreeing[self.by](columns) * available[:, None, :]
            return np.asarray(np.where(available, similarity.sum(2), 0.0) / self.candidates)
        return np.where(available, votes_for(pool.meanings[:, columns], available), 0.0) / self.candidates

    def _rank(
        self, pool: TextPool, places: Ints, available: Bools, share: Floats, own_scores: Floats
    ) -> Floats:
        """The ranks by which the picker chooses."""
        if self.by in AGREEING:
            return share + own_scores / (2 * self.candidates)
        if self.picker == "vote-of-N":
            return share + 1e-3 * own_scores
        if self.picker == "plain" or not self.by:
            return own_scores
        rows, available_columns = np.nonzero(available)
        ranks = np.full(available.shape, -np.inf)
        ranks[rows, available_columns] = np.nan_to_num(
            self._scorer(pool)(rows, places[available_columns]), nan=-np.finfo(float).max
        )
        return ranks

    def _scores(self, pool: TextPool, rows: Ints, index: Ints, share: Floats, rank: Floats) -> Floats:
        """The score by which each chosen candidate is released."""
        if self.by in AGREEING:
            return rank
        if self.by:
            return self._scorer(pool)(rows, index)
        return pool.opinion(index, share) if self.picker == "vote-of-N" else rank

    def _scorer(self, pool: TextPool) -> Scorer:
        if self.by not in pool.own:
            raise OptionError(f'nothing here gives the score "{self.by}". {hint(self.by, pool.own)}')
        return pool.own[self.by]


def scored_by(name: str, score: str) -> str | None:
    """The name of a refining that ranks by another score; None where it cannot rank.

    >>> scored_by("vote-of-4+rules", "judge"), scored_by("plain", "votes")
    ('vote-of-4+rules+by-judge', None)
    """
    check_name(score, SCORES, "score")
    single = parse_text(name).candidates == 1
    return None if single and score in AGREEING else f"{name}+{BY}{score}"


def votes_for(meanings: Ints, available: Bools) -> Floats:
    """Votes: the number of available candidates with the same meaning as each candidate, [requests, k].

    >>> votes_for(np.array([[5, 7, 5]]), np.array([[True, True, True]])).tolist()
    [[2.0, 1.0, 2.0]]
    """
    same = (meanings[:, :, None] == meanings[:, None, :]) & available[:, None, :]
    return np.asarray(same.sum(2), dtype=np.float64)


def parse_text(name: str) -> TextRefining:
    """Parse the name of a refining.

    >>> parse_text("vote-of-4+repair+rules").candidates
    4
    """
    first, *rest = [part.strip() for part in name.split("+")]
    kind = re.sub(r"\d+$", "N", first)
    if kind not in PICKERS:
        raise OptionError(f'the refining "{name}" starts with "{first}". {hint(first, PICKERS)}')
    known_parts = (*PARTS, *(BY + score for score in SCORES))
    for part in rest:
        if part not in known_parts:
            raise OptionError(f'"{part}" in the refining "{name}" is no part. {hint(part, known_parts)}')
    by = [part.removeprefix(BY) for part in rest if part.startswith(BY)]
    if len(by) > 1:
        raise OptionError(f'the refining "{name}" ranks by {" and by ".join(by)}; expected one score')
    count = 1 if kind == "plain" else int(first.rpartition("-")[2])
    if not 1 <= count <= MAX_CANDIDATES:
        raise OptionError(f'"{first}" asks for {count} candidates; expected 1 to {MAX_CANDIDATES}')
    if count == 1 and any(score in AGREEING for score in by):
        raise OptionError(f'"{name}" has one candidate, with which none can agree; try vote-of-4+{BY}{by[0]}')
    return TextRefining(name, kind, count, tuple(rest))
