"""A pretrained model on this machine behind the interface of a served model: prompts in, completions out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tolerate.errors import OptionError
from tolerate.llm.client import Usage
from tolerate.llm.completion import Completion
from tolerate.llm.generated_text import GeneratedText
from tolerate.llm.model_names import PretrainedSpec, parse_pretrained, title_of

if TYPE_CHECKING:
    from tolerate.models.pretrained.pretrained import Pretrained

MAX_TOKENS = 512  # of an answer, where neither name nor caller says


class LocalWriter:
    """A pretrained model, loaded at its first request.

    >>> LocalWriter("hf:owner/name").usage.requests
    0
    """

    refused_fields: frozenset[str] = frozenset()  # it supports every option of a request

    def __init__(self, name: str, limit: int = MAX_TOKENS) -> None:
        """limit: tokens of an answer, at most, if the name does not say."""
        self.limit = limit
        self.source: PretrainedSpec = parse_pretrained(name)
        self.title = title_of(name)
        if self.source.tune:
            raise OptionError(
                f'"{name}" is to be tuned before it is used; tune it on a job that trains (tolerate train "{name}" '
                "--job restaurants ...) and name the folder then"
            )
        self.usage = Usage()

    @cached_property
    def model(self) -> "Pretrained":
        """The loaded model."""
        from tolerate.models.writers.pretrained import open_model

        return open_model(self.source)

    def write(
        self,
        prompts: Sequence[str],
        candidates: int = 1,
        seed: int = 0,
        *,
        system: str = "",
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[list[Completion]]:
        """Candidates for each prompt, in the order of the prompts; equal prompts are requested once."""
        different = list(dict.fromkeys(prompts))
        rows = self._generate(different, candidates, seed, system, on_progress)
        rows_by_prompt = dict(zip(different, rows, strict=True))
        self._charge(rows)
        return [[_completion(text, candidates) for text in rows_by_prompt[prompt]] for prompt in prompts]

    def _generate(
        self,
        prompts: list[str],
        candidates: int,
        seed: int,
        system: str,
        on_progress: Callable[[int, int], None],
    ) -> list[list[GeneratedText]]:
        """Texts by a model of the hub, or by a writer that tolerate trained, which has no system prompt."""
        from tolerate.models.texts.decoding import Decoding
        from tolerate.models.writers.pretrained import write_with
        from tolerate.models.writers.writing import write

        decoding = Decoding(limit=self.limit, temperature=0.7)
        if self.source.kind == "own":
            return write(
                Path(self.source.place), prompts, candidates, seed, replace(decoding, **self.source.decoding)
            )
        instruction = "" if self.model.tune else system  # a tuned model learned its task without it
        settings = {**self.model.source.decoding, **self.source.decoding}
        return write_with(
            self.model,
            prompts,
            candidates,
            seed,
            replace(decoding, **settings),
            instruction,
            False,
            on_progress,
        )

    def _charge(self, rows: Sequence[Sequence[GeneratedText]]) -> None:
        prompt_tokens = sum(row[0].prompt_tokens for row in rows)
        completion_tokens = sum(candidate.token_count for row in rows for candidate in row)
        self.usage += Usage(
            requests=len(rows), prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
        )

    def seconds(self, prompts: Sequence[str], candidates: int, system: str) -> float:
        """Core-seconds of one request's candidates, counted in operations: the same on every machine."""
        from tolerate.models.training.cost import core_seconds

        texts = list(prompts)
        total = core_seconds(lambda: self._generate(texts, candidates, 0, system, lambda done, total: None))
        return total / len(texts)


def _completion(text: GeneratedText, choice_count: int) -> Completion:
    return Completion(
        text.text,
        text.mean_logprob if text.token_count else math.nan,
        text.min_logprob,
        text.ended,
        text.prompt_tokens,
        text.token_count,
        choice_count,
    )
