"""A fake kind of job, small and fast: items are numbers, right if they are what was asked for."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.checks import Verdicts
from tolerate.records import Job, Prices
from tolerate.runs.pipeline import Candidates, Options, Say

WRONG = {"sloppy": 0.3, "fair": 0.04, "sound": 0.002}  # share of wrong items by model
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
JOB = Job(
    name="numbers",
    title={"en": "Say a number", "zh": "说一个数"},
    workshop="tests.support.fakes:Numbers",
    tolerance=0.05,
    confidence=0.95,
    tolerances=(0.2, 0.1, 0.05, 0.02, 0.01, 0.001),
    models=tuple(WRONG),
    refine=("plain", "best-of-4"),
    labels=1000,
    proof=500,
    prices=Prices(compute=0.001, review=5.0),
    needs_data=False,
    example="tolerate run numbers",
)


class Numbers:
    """The workshop of numbers: a model is an error rate, its judge sees most errors."""

    def __init__(self, job: Job, options: Options, folder: Path, say: Say) -> None:
        self.seed = options.seed

    def about(self) -> dict[str, Any]:
        sentence = {"en": "read by a perfect reader", "zh": "由完美的读图器判定"}
        return {
            "data": {
                "name": "numbers",
                "total": 10,
                "sha256": "0" * 64,
                "classes": list("0123456789"),
                "split": [],
            },
            "reader": {
                "name": "equality",
                "trained_on": 0,
                "tested_on": 10,
                "wrong": 0,
                "rejected": 0,
                "rate": 0.0,
                "low": 0.0,
                "high": 0.3,
                "by": "reader",
                "sentence": sentence["en"],
            },
            "judge": {"name": "a glance", "trained_on": 0, "auroc": 0.9},
            "assumptions": [sentence],
            "limits": [sentence],
        }

    def requests(self, n: int, seed: int) -> NDArray[np.int64]:
        return np.random.default_rng(seed).integers(0, 10, n)

    def asked(self, request: int) -> str:
        return str(request)

    def train(self, model: str, folder: Path, say: Say) -> dict[str, Any]:
        say.progress(0.5, "thinking")
        return {
            "name": model,
            "title": model,
            "paper": "",
            "family": "fake",
            "parameters": 1,
            "steps": 1,
            "seconds": 0.1,
            "draws_per_second": 1e6,
            "curve": {"loss": [[0, 1.0], [1, 0.5]]},
            "findings": [],
        }

    def make(
        self, model: str, folder: Path, requests: NDArray[np.int64], candidates: int, seed: int
    ) -> Candidates:
        rng = np.random.default_rng(seed)
        wrong = rng.random((len(requests), candidates)) < WRONG[model]
        contents = (requests[:, None] + wrong) % 10
        scores = rng.random(wrong.shape) - np.where(wrong, 0.8, 0.0) * (rng.random(wrong.shape) < 0.9)
        return Candidates(contents, scores, np.ones(wrong.shape))

    def check(self, contents: NDArray[Any], requests: NDArray[np.int64]) -> Verdicts:
        return Verdicts((contents != requests).astype(float), [str(number) for number in contents])

    def measure(
        self, model: str, contents: NDArray[Any], requests: NDArray[np.int64], verdicts: Verdicts
    ) -> dict[str, Any]:
        return {"as_requested": float(1 - verdicts.losses.mean())}

    def compute_seconds(self, model: str, folder: Path, candidates: int) -> float:
        return 0.01 * candidates * (1 + list(WRONG).index(model))

    def choose(self, refine: str, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        index = candidates.scores[:, : self.candidates(refine)].argmax(axis=1)
        return index, candidates.scores[np.arange(len(index)), index]

    def candidates(self, refine: str) -> int:
        return 4 if refine == "best-of-4" else 1

    def picture(self, content: NDArray[Any]) -> bytes:
        return PIXEL
