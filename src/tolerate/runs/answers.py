"""Answers of strategies to requests: candidates are made and checked once for all refinings of a model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Arrays, Bools, Contents, Floats, Ints
from tolerate.checks import Verdicts
from tolerate.messages.catalogue import stored
from tolerate.records import Message
from tolerate.runs.workshop import Workshop

MAX_SHOWN = 2000  # plain items kept of each model, for metrics and sheets


@dataclass(frozen=True)
class StrategyAnswers:
    """One strategy's answer to each request; a request without one (score NaN) has loss 1 and is never released."""

    contents: Contents
    losses: Floats
    scores: Floats
    reads: list[str]  # what the check saw

    @classmethod
    def of(
        cls, contents: Contents, index: Ints, scores: Floats, rows: Ints, verdicts: Verdicts
    ) -> "StrategyAnswers":
        """The chosen candidates [n] with their verdicts, which are at `rows` of all verdicts; index -1: no answer."""
        unanswered = index < 0
        losses = np.where(unanswered, 1.0, verdicts.losses[rows])
        reads = [
            "" if missing else verdicts.reads[row] for missing, row in zip(unanswered, rows, strict=True)
        ]
        return cls(contents, losses, np.where(unanswered, np.nan, scores), reads)


def answer_requests(
    workshop: Workshop, model: str, folder: Path, requests: Ints, refines: Sequence[str], seed: int
) -> dict[str, StrategyAnswers]:
    """Answer each request by each refining; candidates are made and checked once for all of them."""
    count = max(workshop.candidate_count(refine) for refine in refines)
    candidates = workshop.generate(model, folder, requests, count, seed)
    choices = {refine: workshop.choose(refine, candidates) for refine in refines}
    rows = np.arange(len(requests))
    chosen = np.zeros(candidates.scores.shape, dtype=bool)
    for index, _ in choices.values():
        chosen[rows[index >= 0], index[index >= 0]] = True
    request_rows, columns = np.nonzero(chosen)
    verdicts = workshop.check(candidates.contents[request_rows, columns], requests[request_rows])
    verdict_rows = np.full(chosen.shape, -1)
    verdict_rows[request_rows, columns] = np.arange(len(request_rows))
    return {
        refine: StrategyAnswers.of(
            candidates.contents[rows, index], index, scores, verdict_rows[rows, index], verdicts
        )
        for refine, (index, scores) in choices.items()
    }


@dataclass(frozen=True)
class ModelSample:
    """One model's answers to the sample of requests: losses and scores by refining, and some plain items.

    shown, shown_reads, shown_losses: the first MAX_SHOWN plain items.
    """

    requests: Ints
    losses: Mapping[str, Floats]
    scores: Mapping[str, Floats]
    shown: Contents
    shown_reads: Sequence[str]
    shown_losses: Floats

    @classmethod
    def of(cls, requests: Ints, answers: Mapping[str, StrategyAnswers]) -> "ModelSample":
        """The sample of a model; the first refining's items are shown where no refining is plain."""
        plain = answers["plain"] if "plain" in answers else next(iter(answers.values()))
        return cls(
            requests,
            {refine: answer.losses for refine, answer in answers.items()},
            {refine: answer.scores for refine, answer in answers.items()},
            plain.contents[:MAX_SHOWN],
            plain.reads[:MAX_SHOWN],
            plain.losses[:MAX_SHOWN],
        )

    @property
    def shown_verdicts(self) -> Verdicts:
        """The verdicts on the items that are shown."""
        return Verdicts(self.shown_losses, self.shown_reads)

    def to_arrays(self) -> Arrays:
        """The arrays of the file in drawn/."""
        by_refine: Arrays = {}
        for refine, losses in self.losses.items():
            by_refine |= {f"loss {refine}": losses, f"score {refine}": self.scores[refine]}
        return {
            "shown": self.shown,
            **_reads_to_arrays("shown_read", self.shown_reads),
            **by_refine,
            "requests": self.requests,
            "loss shown": self.shown_losses,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ModelSample":
        """The sample in a file of drawn/."""
        scores = {key.removeprefix("score "): arrays[key] for key in arrays if key.startswith("score ")}
        return cls(
            arrays["requests"],
            {refine: arrays[f"loss {refine}"] for refine in scores},
            scores,
            arrays["shown"],
            _reads_from_arrays("shown_read", arrays),
            arrays["loss shown"],
        )


@dataclass(frozen=True)
class FreshAnswers:
    """A strategy's answers to fresh requests, drawn after every threshold was fixed."""

    requests: Ints
    contents: Contents
    losses: Floats
    scores: Floats
    reads: Sequence[str]

    def to_arrays(self) -> Arrays:
        """The arrays of the file in fresh/."""
        return {
            "requests": self.requests,
            "contents": self.contents,
            "losses": self.losses,
            "scores": self.scores,
            **_reads_to_arrays("reads", self.reads),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "FreshAnswers":
        """The answers in a file of fresh/."""
        reads = _reads_from_arrays("reads", arrays)
        return cls(arrays["requests"], arrays["contents"], arrays["losses"], arrays["scores"], reads)

    def release_mask(self, scope: str, threshold: float | None) -> Bools:
        """Mask of the answers that a rule releases."""
        return release_mask(scope, threshold, self.scores)


def release_mask(scope: str, threshold: float | None, scores: Floats) -> Bools:
    """Mask of the answers that a rule releases, by their scores; a request without an answer (NaN) is held."""
    if scope == "above" and threshold is not None:
        return np.asarray(scores >= threshold)
    return ~np.isnan(scores) if scope == "all" else np.zeros(len(scores), dtype=bool)


def _reads_to_arrays(name: str, reads: Sequence[str]) -> Arrays:
    """What a check read, in English, and beside it the keys and parameters that say it in Chinese."""
    return {
        name: np.array([str(read) for read in reads]),
        f"{name}_message": np.array([json.dumps(stored(read)) for read in reads]),
    }


def _reads_from_arrays(name: str, arrays: Arrays) -> list[str]:
    """What `_reads_to_arrays` wrote; older folders hold the English text alone."""
    texts = [str(read) for read in arrays[name]]
    messages = arrays.get(f"{name}_message")
    if messages is None:
        return texts
    return [
        Message.from_json(text, json.loads(str(record))) for text, record in zip(texts, messages, strict=True)
    ]
