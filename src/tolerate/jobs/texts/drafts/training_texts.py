"""The texts that writers learn from, and what is derived from them: few-shot examples and a search for copies."""

from collections.abc import Callable, Sequence
from functools import cached_property

from tolerate.jobs.texts.drafts.prompted_models import few_shot_prompt
from tolerate.jobs.texts.task import TextTask
from tolerate.refine.texts.copied import Copied
from tolerate.refine.texts.near_duplicates import without_near_duplicates

MAX_PAIRS = 20_000  # texts to learn from, where a job generates them
FEW_SHOT_PAIRS = 6  # pairs of prompt and answer that an untrained model is shown


class TrainingTexts:
    """The training texts of one job."""

    def __init__(self, task: Callable[[], TextTask], seed: int, dedupe: bool) -> None:
        self._task, self.seed, self.dedupe = task, seed, dedupe

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Prompts and answers to learn from, without near-duplicates where the option `dedupe` is set."""
        pairs = [(pair.prompt, pair.answer) for pair in self._task().pairs(MAX_PAIRS, self.seed)]
        return (
            [pairs[index] for index in without_near_duplicates([answer for _, answer in pairs])]
            if self.dedupe
            else pairs
        )

    @cached_property
    def few_shot(self) -> str:
        """The system prompt that shows an untrained model some good answers."""
        return few_shot_prompt(self._task().pairs(FEW_SHOT_PAIRS, self.seed))

    @cached_property
    def copy_search(self) -> Copied:
        """Finds stretches of the answers that the writers learned from."""
        return Copied(dict.fromkeys(answer for _, answer in self.pairs))

    def beyond_copies(self, text: str) -> float:
        """The distance of a text from being a copy of a training text; 0 and below is a copy."""
        distance = self._task().beyond_copies(text)
        return 1 - self.copy_search.length(text) / max(len(text), 1) if distance is None else distance

    def mean_longest_copy(self, texts: Sequence[str]) -> float:
        """Characters of the longest stretch that a text shares with a training text, on average."""
        return float(self.copy_search.lengths(texts).mean())
