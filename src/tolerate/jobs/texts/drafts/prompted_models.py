"""Models that a text job prompts with examples in place of training: behind a server, or pretrained on this machine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.jobs.texts.task import Pair
from tolerate.llm.client import ServedModel
from tolerate.llm.completion import Completion
from tolerate.llm.endpoint_names import is_endpoint
from tolerate.llm.model_names import is_pretrained_name, is_tuned_name
from tolerate.models.writers.local import LocalWriter
from tolerate.report.results import ModelReport, TrainingFinding
from tolerate.runs.progress import ProgressReporter

DOLLARS_A_CORE_SECOND = 0.04 / 3600  # turns the price of tokens into core-seconds
BILL = "bill.json"  # beside a model: tokens of a request, on average
EXAMPLES_SHOWN = 6


def is_prompted(name: str) -> bool:
    """Whether a model is prompted as it is: one behind a server, or a pretrained one that is not to be tuned.

    >>> is_prompted("hf:gpt2"), is_prompted("hf:gpt2#lora"), is_prompted("transformer")
    (True, False, False)
    """
    return is_endpoint(name) or (is_pretrained_name(name) and not is_tuned_name(name))


@dataclass(frozen=True)
class TokensPerRequest:
    """Average tokens read for a prompt and written for a candidate.

    together: whether all candidates come for one prompt.
    """

    read: float
    written: float
    together: bool

    @classmethod
    def of(cls, rows: Sequence[Sequence[Completion]], k: int) -> "TokensPerRequest":
        """The average over the candidates [requests][k] of some requests."""
        completions = [completion for row in rows for completion in row]
        return cls(
            read=sum(completion.prompt_tokens for completion in completions) / len(completions),
            written=sum(completion.completion_tokens for completion in completions) / len(completions),
            together=k > 1 and all(row[0].choice_count == k for row in rows),
        )


class PromptedModels:
    """The prompted models of one workshop: those behind servers, each with its limits, and pretrained ones here."""

    def __init__(self, reporter: ProgressReporter, limit: Callable[[], int]) -> None:
        """limit: tokens of an answer at most, of models on this machine; those behind servers have their own."""
        self.reporter, self._limit = reporter, limit
        self._served: dict[str, ServedModel] = {}
        self._local: dict[str, LocalWriter] = {}

    def local_model(self, model: str) -> LocalWriter:
        """The pretrained model of a name; one is in memory at a time."""
        if model not in self._local:
            self._local = {model: LocalWriter(model, self._limit())}
        return self._local[model]

    def served_model(self, model: str) -> ServedModel:
        """The model behind a server of a name."""
        if model not in self._served:
            self._served[model] = ServedModel(model)
        return self._served[model]

    def _model(self, name: str) -> ServedModel | LocalWriter:
        return self.local_model(name) if is_pretrained_name(name) else self.served_model(name)

    def write(
        self, model: str, folder: Path, prompts: Sequence[str], k: int, seed: int, system: str
    ) -> list[list[Completion]]:
        """k answers to each prompt; their average number of tokens is left beside the model."""
        prompted = self._model(model)
        rows = prompted.write(prompts, k, seed, system=system, on_progress=self._report)
        write_whole(folder / BILL, to_json(asdict(TokensPerRequest.of(rows, k))))
        self.reporter.note(f"{model}: {prompted.usage}")
        return rows

    def _report(self, done: int, total: int) -> None:
        self.reporter.progress(0.7 + 0.3 * done / max(total, 1), f"{done:,} of {total:,} requests answered")

    def introduce(self, model: str, prompt: str, k: int, seed: int, system: str) -> ModelReport:
        """Prompt once, to see that the model is there and which fields its server accepts."""
        prompted, start = self._model(model), time.monotonic()
        if isinstance(prompted, LocalWriter):
            self.reporter.progress(0.1, "prompting it on this machine")
            prompted.write([prompt], k, seed, system=system)
            return local_report(model, prompted, time.monotonic() - start)
        self.reporter.progress(0.1, f"prompting {prompted.endpoint.host}")
        completions = prompted.write([prompt], k, seed, system=system)[0]
        missing = sorted(prompted.refused_fields) + (
            ["logprobs"] if np.isnan(completions[0].mean_logprob) else []
        )
        return ModelReport(
            name=model,
            title=f"{prompted.endpoint.model} at {prompted.endpoint.host}",
            family="api",
            figures={"seconds": round(time.monotonic() - start, 2)},
            findings=server_findings(missing),
        )

    def seconds(
        self, model: str, folder: Path, candidates: int, prompts: Sequence[str], system: str
    ) -> float:
        """The cost of the candidates of one request, as core-seconds of the same price; 0 without prices.

        Of a model on this machine: the operations for these prompts, on average.
        """
        if is_pretrained_name(model):
            return self.local_model(model).seconds(prompts, candidates, system)
        tokens = TokensPerRequest(**read_json(folder / BILL, "the tokens of a prompted model"))
        endpoint = self.served_model(model).endpoint
        prompts_read = 1 if tokens.together else candidates
        dollars = (
            prompts_read * tokens.read * endpoint.price_in + candidates * tokens.written * endpoint.price_out
        ) / 1e6
        return float(dollars / DOLLARS_A_CORE_SECOND)


def local_report(name: str, local: LocalWriter, seconds: float) -> ModelReport:
    """The report on a pretrained model that is used as it is."""
    trained_here = local.source.kind == "own"
    size = {} if trained_here else {"parameters": sum(weight.numel() for weight in local.model.parameters())}
    return ModelReport(
        name=name,
        title=local.title,
        family="pretrained",
        figures={**size, "seconds": round(seconds, 2)},
    )


def server_findings(missing: Sequence[str]) -> tuple[TrainingFinding, ...]:
    """The fields that a server does not accept, with what that means."""
    consequences = {
        "logprobs": "answers that nobody votes on all have the same score; use vote-of-N",
        "seed": "answers repeat only from the disk",
        "n": "each candidate costs its prompt",
        "temperature": "candidates may differ less than a vote needs",
    }
    names = [name for name in dict.fromkeys(missing) if name in consequences]
    return tuple(TrainingFinding(f"the server gives no {name}", consequences[name]) for name in names)


def few_shot_prompt(pairs: Sequence[Pair]) -> str:
    """The system prompt of a model that was not trained for the job: a few good answers.

    >>> print(few_shot_prompt([Pair("name Alimentum", "Alimentum is a place to eat.")]))
    Answer each input in exactly the way of these examples, with nothing before or after.
    <BLANKLINE>
    Input: name Alimentum
    Output: Alimentum is a place to eat.
    """
    examples = (f"Input: {pair.prompt}\nOutput: {pair.answer}" for pair in pairs[:EXAMPLES_SHOWN])
    return "\n\n".join(
        ["Answer each input in exactly the way of these examples, with nothing before or after.", *examples]
    )
