"""Models behind servers as the writers of a text job: asked with examples in place of training, and what that costs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tolerate.folder import read_json, to_json, write_whole
from tolerate.jobs.tasks import Pair
from tolerate.models.served import Answer, Served
from tolerate.run import Say

CORE = 0.04 / 3600  # dollars for a second of a core, which turns dollars into core-seconds
BILL = "bill.json"  # beside a model: tokens of a request, on average
EXAMPLES = 6  # texts that a model is shown in place of training


class Asked:
    """The servers of one workshop, each with its limits for as long as the workshop lives."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self._served: dict[str, Served] = {}

    def served(self, model: str) -> Served:
        """The model behind a name."""
        if model not in self._served:
            self._served[model] = Served(model)
        return self._served[model]

    def write(
        self, model: str, folder: Path, prompts: Sequence[str], k: int, seed: int, system: str
    ) -> list[list[Answer]]:
        """k answers to each prompt; what they cost on average is left beside the model."""
        served = self.served(model)
        found = served.write(prompts, k, seed, system=system, on_progress=self._told)
        write_whole(folder / BILL, to_json(spent(found, k)))
        self.say.note(f"{model}: {served.bill}")
        return found

    def _told(self, done: int, total: int) -> None:
        self.say.progress(0.7 + 0.3 * done / max(total, 1), f"{done:,} of {total:,} requests answered")

    def introduce(self, model: str, prompt: str, k: int, seed: int, system: str) -> dict[str, Any]:
        """Ask once, to see that the model is there and what it understands; what the report tells of it."""
        served, began = self.served(model), time.monotonic()
        self.say.progress(0.1, f"asking {served.endpoint.host}")
        answers = served.write([prompt], k, seed, system=system)[0]
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

    def seconds(self, model: str, folder: Path, candidates: int) -> float:
        """What the candidates of one request cost, as the seconds of a core that cost as much; 0 without prices."""
        bill = read_json(folder / BILL, "the bill of a model that was asked")
        at = self.served(model).endpoint
        prompts = 1 if bill["together"] else candidates
        dollars = (prompts * bill["read"] * at.price_in + candidates * bill["written"] * at.price_out) / 1e6
        return float(dollars / CORE)


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
