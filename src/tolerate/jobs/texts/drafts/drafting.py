"""Drafts: what writers make of requests, before anything is repaired, masked or chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tolerate.base.arrays import Floats, Ints
from tolerate.jobs.texts.drafts.prompted_models import PromptedModels, is_prompted
from tolerate.jobs.texts.drafts.training_texts import TrainingTexts
from tolerate.jobs.texts.task import TextTask
from tolerate.llm.model_names import is_pretrained_name
from tolerate.models.writers.registry import Writer

if TYPE_CHECKING:
    from tolerate.models.texts.decoding import Decoding

Strings = NDArray[np.str_]  # [n] or [n, k]
FINER_TOKENS = 2  # tokens of a pretrained model for one of the job's own, at most
COST_REQUESTS = 32  # on which the cost of a writer is counted
PROMPTED_COST_REQUESTS = 8  # the same of a prompted model
MISSING_LOGPROB = -30.0  # in place of a log-probability that a server did not give


@dataclass(frozen=True)
class Drafts:
    """Drafts of a writer: texts, mean and least log-probability of a token, each [requests, k]."""

    texts: Strings
    means: Floats
    least: Floats


class TextWithLogprobs(Protocol):
    """A text with its log-probabilities, as writers and servers return it."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def mean_logprob(self) -> float:
        """Log-probability of a token, on average."""

    @property
    def min_logprob(self) -> float:
        """Log-probability of the least likely token."""


class Drafter:
    """Lets the writers of one job write, trained ones and prompted ones."""

    def __init__(
        self,
        task: Callable[[], TextTask],
        writers: dict[str, Writer],
        prompted: PromptedModels,
        texts: TrainingTexts,
    ) -> None:
        self._task, self.writers, self.prompted, self.texts = task, writers, prompted, texts

    @cached_property
    def decoding(self) -> "Decoding":
        """The job's decoding."""
        from tolerate.models.texts.decoding import Decoding

        return Decoding(limit=self._task().limit, **self._task().decoding)

    def decoding_of(self, model: str) -> "Decoding":
        """The job's decoding; where tokens are shorter than the job's own, a text may have more of them."""
        finer = self.writers[model].tokens_per_word if model in self.writers else 1
        finer = FINER_TOKENS if is_pretrained_name(model) else finer
        return replace(self.decoding, limit=finer * self._task().limit)

    def write(self, model: str, folder: Path, requests: Ints, k: int, seed: int) -> Drafts:
        """Write k drafts for each request."""
        task = self._task()
        rows = self._rows(model, folder, requests, k, seed)
        texts = [
            [task.shown_text(draft.text, request) for draft in row]
            for row, request in zip(rows, requests, strict=True)
        ]
        shape = (len(requests), k)
        return Drafts(
            np.array(texts).reshape(shape),
            fill_missing([[draft.mean_logprob for draft in row] for row in rows]).reshape(shape),
            fill_missing([[draft.min_logprob for draft in row] for row in rows]).reshape(shape),
        )

    def _rows(
        self, model: str, folder: Path, requests: Ints, k: int, seed: int
    ) -> Sequence[Sequence[TextWithLogprobs]]:
        """k drafts for each request, as the writer made them."""
        from tolerate.models.writers.writing import write

        task = self._task()
        prompts = [task.model_input(request) for request in requests]
        if is_prompted(model):
            return self.prompted.write(model, folder, prompts, k, seed % 2**20, self.texts.few_shot)
        templates = [task.template(request) for request in requests]
        decoding = self.decoding_of(model)
        return write(folder, prompts, k, seed, decoding, templates if all(templates) else ())

    def seconds(self, model: str, folder: Path, candidates: int) -> float:
        """Core-seconds to write the candidates of one request, counted in operations."""
        from tolerate.models.writers.writing import writing_cost

        if is_prompted(model):
            prompts = self.sample_prompts(PROMPTED_COST_REQUESTS)
            return self.prompted.seconds(model, folder, candidates, prompts, self.texts.few_shot)
        prompts = self.sample_prompts(COST_REQUESTS)
        return candidates * writing_cost(folder, prompts, self.decoding_of(model))

    def sample_prompts(self, n: int) -> list[str]:
        """n prompts of the judge's part, always the same."""
        task = self._task()
        return [task.model_input(request) for request in task.requests(n, 5, "judge")]


def fill_missing(values: Sequence[Sequence[float]]) -> Floats:
    """Log-probabilities with a low value, the same for all, where a server gave none.

    >>> fill_missing([[-0.5, float("nan")]]).tolist()
    [[-0.5, -30.0]]
    """
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=MISSING_LOGPROB)
