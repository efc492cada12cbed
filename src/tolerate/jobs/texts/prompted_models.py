"""Models that a text job asks, shown examples in place of training: behind a server, or pretrained on this machine."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.jobs.texts.task import Pair
from tolerate.llm.client import Answer, Served
from tolerate.llm.endpoint_names import is_endpoint
from tolerate.llm.model_names import is_source, is_tuned
from tolerate.models.writers.local import Local
from tolerate.runs.pipeline import Say

CORE = 0.04 / 3600  # dollars for a second of a core, which turns dollars into core-seconds
BILL = "bill.json"  # beside a model: tokens of a request, on average
EXAMPLES = 6  # texts that a model is shown in place of training


def is_asked(name: str) -> bool:
    """Whether a model is asked as it is: one behind a server, or a pretrained one that is not to be tuned.

    >>> is_asked("hf:gpt2"), is_asked("hf:gpt2#lora"), is_asked("transformer")
    (True, False, False)
    """
    return is_endpoint(name) or (is_source(name) and not is_tuned(name))


class Asked:
    """The models that one workshop asks: those behind servers, each with its limits, and pretrained ones here."""

    def __init__(self, say: Say, limit: Callable[[], int]) -> None:
        """limit: tokens of an answer at most, of models on this machine; those behind servers have their own."""
        self.say, self._limit = say, limit
        self._served: dict[str, Served] = {}
        self._local: dict[str, Local] = {}

    def local(self, model: str) -> Local:
        """The pretrained model behind a name."""
        if model not in self._local:
            self._local = {model: Local(model, self._limit())}  # one in memory at a time
        return self._local[model]

    def _of(self, model: str) -> Served | Local:
        return self.local(model) if is_source(model) else self.served(model)

    def served(self, model: str) -> Served:
        """The model behind a name."""
        if model not in self._served:
            self._served[model] = Served(model)
        return self._served[model]

    def write(
        self, model: str, folder: Path, prompts: Sequence[str], k: int, seed: int, system: str
    ) -> list[list[Answer]]:
        """k answers to each prompt; what they cost on average is left beside the model."""
        served = self._of(model)
        found = served.write(prompts, k, seed, system=system, on_progress=self._told)
        write_whole(folder / BILL, to_json(spent(found, k)))
        self.say.note(f"{model}: {served.bill}")
        return found

    def _told(self, done: int, total: int) -> None:
        self.say.progress(0.7 + 0.3 * done / max(total, 1), f"{done:,} of {total:,} requests answered")

    def introduce(self, model: str, prompt: str, k: int, seed: int, system: str) -> dict[str, Any]:
        """Ask once, to see that the model is there and what it understands; what the report tells of it."""
        served, began = self._of(model), time.monotonic()
        where = "" if isinstance(served, Local) else served.endpoint.host
        self.say.progress(0.1, f"asking {where or 'it on this machine'}")
        answers = served.write([prompt], k, seed, system=system)[0]
        if isinstance(served, Local):
            return {**about_local(served), "name": model, "seconds": round(time.monotonic() - began, 2)}
        missing = sorted(served.left_out) + (["logprobs"] if np.isnan(answers[0].mean) else [])
        return {
            "name": model,
            "title": f"{served.endpoint.model} at {served.endpoint.host}",
            "paper": "",
            "family": "api",
            "seconds": round(time.monotonic() - began, 2),
            "curve": {},
            "findings": findings(missing),
        }

    def seconds(
        self, model: str, folder: Path, candidates: int, prompts: Sequence[str], system: str
    ) -> float:
        """What the candidates of one request cost, as the seconds of a core that cost as much; 0 without prices.

        Of a model on this machine: the operations for these prompts, on average.
        """
        if is_source(model):
            return self.local(model).seconds(prompts, candidates, system)
        bill = read_json(folder / BILL, "the bill of a model that was asked")
        at = self.served(model).endpoint
        copies = 1 if bill["together"] else candidates
        dollars = (copies * bill["read"] * at.price_in + candidates * bill["written"] * at.price_out) / 1e6
        return float(dollars / CORE)


def about_local(local: Local) -> dict[str, Any]:
    """What the report tells of a pretrained model that is used as it is."""
    own = local.source.kind == "own"
    return {
        "title": local.title,
        "paper": "",
        "family": "pretrained",
        **({} if own else {"parameters": sum(one.numel() for one in local.model.parameters())}),
        "curve": {},
        "findings": [],
    }


def spent(found: Sequence[Sequence[Answer]], k: int) -> dict[str, Any]:
    """Tokens read for a prompt and written for a candidate, on average, and whether k come for one prompt."""
    answers = [answer for row in found for answer in row]
    return {
        "read": sum(answer.read for answer in answers) / len(answers),
        "written": sum(answer.written for answer in answers) / len(answers),
        "together": k > 1 and all(row[0].together == k for row in found),
    }


def findings(missing: Sequence[str]) -> list[dict[str, str]]:
    """What a server does not know, and what that means."""
    means = {
        "logprobs": "answers that nobody votes on all have the same score; use vote-of-N",
        "seed": "answers repeat only from the disk",
        "n": "each candidate costs its prompt",
        "temperature": "candidates may differ less than a vote needs",
    }
    names = [name for name in dict.fromkeys(missing) if name in means]
    return [{"what": f"the server gives no {name}", "try": means[name]} for name in names]


def by_example(pairs: Sequence[Pair]) -> str:
    """What a model is told that was not trained for the job: a few good answers.

    >>> print(by_example([Pair("name Alimentum", "Alimentum is a place to eat.")]))
    Answer each input in exactly the way of these examples, with nothing before or after.
    <BLANKLINE>
    Input: name Alimentum
    Output: Alimentum is a place to eat.
    """
    shown = (f"Input: {pair.prompt}\nOutput: {pair.answer}" for pair in pairs[:EXAMPLES])
    return "\n\n".join(
        ["Answer each input in exactly the way of these examples, with nothing before or after.", *shown]
    )
