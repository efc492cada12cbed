"""A job with the user's options resolved: what one run does."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tolerate.base.json_types import JsonValue
from tolerate.errors import OptionError
from tolerate.llm.endpoint_names import is_endpoint, parse_endpoint
from tolerate.llm.model_names import check_pretrained, is_pretrained_name
from tolerate.records import Job
from tolerate.runs.options import RunOptions


@dataclass(frozen=True)
class RunPlan:
    """A job, a user's options, and what both amount to."""

    job: Job
    options: RunOptions
    models: tuple[str, ...]
    refine: tuple[str, ...]
    tolerance: float
    tolerances: tuple[float, ...]  # of the map, the largest first
    confidence: float
    labels: int
    proof: int

    @property
    def data(self) -> Path:
        """The path of the user's data; raises OptionError if there is none."""
        if self.options.data is None:
            raise OptionError(f"the job {self.job.name} needs --data; try: {self.job.example}")
        return self.options.data

    @property
    def steps(self) -> int | None:
        """Training steps of every model, where the user gave a number."""
        return self.options.steps

    def resolved_fields(self) -> Mapping[str, JsonValue]:
        """The fields of the job that options replace, by their names in JSON."""
        return {
            "models": self.models,
            "refine": self.refine,
            "tolerance": self.tolerance,
            "confidence": self.confidence,
            "labels": self.labels,
            "proof": self.proof,
            "tolerances": self.tolerances,
        }

    def job_json(self) -> dict[str, JsonValue]:
        """The job as JSON, with what the options replaced."""
        return {**self.job.to_json(), **self.resolved_fields()}

    def result_keys(self) -> dict[str, JsonValue]:
        """The values that the result depends on, as run.json keeps them: a folder with other values is refused."""
        options = self.options
        return {
            "job": self.job.name,
            "data": None if options.data is None else str(options.data.resolve()),
            "seed": options.seed,
            "budget": options.budget,
            "review": options.review,
            **({"steps": options.steps} if options.steps else {}),
            **({"reviews": options.reviews} if options.review else {}),
            **options.modality.result_keys(),
            **self.resolved_fields(),
        }


def plan_run(job: Job, options: RunOptions) -> RunPlan:
    """The plan of a job with the user's options in place of its defaults; raises OptionError for unusable ones.

    >>> from tolerate.jobs import job
    >>> plan_run(job("digits"), RunOptions(tolerance=0.05, models=("vae",))).models
    ('vae',)
    """
    _check_share(options.tolerance, "tolerance", "0.02 or 2%")
    _check_share(options.confidence, "confidence", "0.95 or 95%")
    for name, number in (("labels", options.labels), ("proof", options.proof), ("reviews", options.reviews)):
        if number is not None and number < 1:
            raise OptionError(f"{name} is {number}; expected at least 1")
    if options.budget is not None and not options.budget > 0:
        raise OptionError(f"budget is {options.budget:g} s; expected a positive time such as 60s")
    if job.needs_data and options.data is None:
        raise OptionError(f"the job {job.name} needs --data; try: {job.example}")
    models = tuple(dict.fromkeys(options.models)) or job.models
    _check_models(job, models)
    tolerance = options.tolerance or job.tolerance
    return RunPlan(
        job=job,
        options=options,
        models=models,
        refine=options.modality.resolve(job, tuple(dict.fromkeys(options.refine)) or job.refine),
        tolerance=tolerance,
        tolerances=tuple(sorted({*job.tolerances, tolerance}, reverse=True)),
        confidence=options.confidence or job.confidence,
        labels=options.labels or job.labels,
        proof=options.proof or job.proof,
    )


def _check_share(value: float | None, name: str, example: str) -> None:
    if value is not None and not 0 < value < 1:
        raise OptionError(f"{name} is {value:g}; expected a share between 0 and 1, such as {example}")


def _check_models(job: Job, models: tuple[str, ...]) -> None:
    """Refuse names of served and pretrained models that cannot be read, before anything is written."""
    if not models:
        raise OptionError(f"the job {job.name} needs --models; try: {job.example}")
    for name in models:
        if is_endpoint(name):
            parse_endpoint(name)
        elif is_pretrained_name(name):
            check_pretrained(name)


def seed_for(seed: int, *purpose: str) -> int:
    """A seed of its own for each purpose, so that no randomness depends on the order of work.

    >>> seed_for(0, "sample") == seed_for(0, "fresh")
    False
    """
    entropy = [seed, *(zlib.crc32(word.encode()) for word in purpose)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
