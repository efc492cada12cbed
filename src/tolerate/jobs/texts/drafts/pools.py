"""Pools of text candidates: drafts as written, repaired and masked, with what the refinings need to know of each."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from tolerate.base.arrays import Floats, Ints
from tolerate.base.personal_data import mask_personal_data
from tolerate.jobs.texts.drafts.drafting import Drafts, Strings
from tolerate.jobs.texts.drafts.scores import TextScores
from tolerate.jobs.texts.drafts.training_texts import TrainingTexts
from tolerate.jobs.texts.task import TextTask
from tolerate.refine.texts.refining import TextPool, TextRefining
from tolerate.runs.workshop import Candidates

Result = TypeVar("Result")


@dataclass(frozen=True)
class TextCandidates(Candidates):
    """Candidates as texts, the repaired ones behind the others, and the pool that refinings choose from."""

    pool: TextPool


class DraftJudge(Protocol):
    """Scores drafts by the log-probabilities of their tokens, higher is better."""

    def single_scores(self, means: Floats, least: Floats) -> Floats:
        """The score of each draft."""

    def vote_scores(self, means: Floats, least: Floats, share: Floats) -> Floats:
        """The same where the share of candidates that agree is known."""


@dataclass(frozen=True)
class PoolBuilder:
    """Makes the pools of one job: only the forms and figures that its refinings use are computed."""

    task: Callable[[], TextTask]
    texts: TrainingTexts
    scores: TextScores
    refinings: Collection[TextRefining]

    def uses(self, part: str) -> bool:
        """Whether any refining has this part."""
        return any(part in refining.parts for refining in self.refinings)

    def build(self, drafts: Drafts, requests: Ints, judge: DraftJudge) -> TextCandidates:
        """The candidates of drafts [requests, k], in as many blocks of k as there are forms."""
        texts = self.forms(drafts.texts, requests)
        blocks = texts.shape[1] // max(drafts.texts.shape[1], 1)
        means, least = np.tile(drafts.means, blocks), np.tile(drafts.least, blocks)
        rows, scores = np.arange(len(requests)), judge.single_scores(means, least)
        pool = TextPool(
            self.meanings(texts),
            scores,
            np.array(_map(self.task().passes_rule, texts, requests)),
            self._beyond_copies(texts),
            lambda index, share: judge.vote_scores(means[rows, index], least[rows, index], share),
            self.scores.own_scorers(texts, means, least, requests),
            self.scores.agreement_scorers(texts),
            blocks,
        )
        return TextCandidates(texts, scores, pool.copies, pool)

    def forms(self, texts: Strings, requests: Ints) -> Strings:
        """Texts as written and repaired; where a refining masks, both once more with personal data masked."""
        repaired = np.array(_map(self.task().repair, texts, requests)) if self.uses("repair") else texts
        both = np.concatenate([texts, repaired], 1)
        if not self.uses("masked"):
            return both
        masked = np.array([[mask_personal_data(str(text)) for text in row] for row in both])
        return np.concatenate([both, masked], 1)

    def meanings(self, texts: Strings) -> Ints:
        """A number for what each text says."""
        meanings = np.array([self.task().meaning(str(text)) for text in texts.ravel()])
        return np.unique(meanings, return_inverse=True)[1].reshape(texts.shape).astype(np.int64)

    def _beyond_copies(self, texts: Strings) -> Floats:
        """How far each text is from repeating a training text; computed only if a refining needs it."""
        if not self.uses("no-copies"):
            return np.ones(texts.shape)
        return np.array([[self.texts.beyond_copies(str(text)) for text in row] for row in texts])


def _map(function: Callable[[str, int], Result], texts: Strings, requests: Ints) -> list[list[Result]]:
    """A function of each text [requests, k] and its request."""
    return [
        [function(str(text), request) for text in row] for row, request in zip(texts, requests, strict=True)
    ]
