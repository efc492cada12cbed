"""Single steps of a job: train one model, check items from files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tolerate.base.arrays import Floats, Ints
from tolerate.base.files import to_json, write_whole
from tolerate.base.json_types import JsonValue
from tolerate.base.workers import is_first_process
from tolerate.data import tables
from tolerate.errors import DataError, hint
from tolerate.records import Job
from tolerate.report.results import ModelReport
from tolerate.runs.options import RunOptions
from tolerate.runs.plan import plan_run
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.workshop import Workshop, open_workshop

ABOUT = "about.json"  # beside a model: its job, its classes, how it was trained


@dataclass(frozen=True)
class TrainedModel:
    """The report of one model that was trained on a job's data."""

    job: str  # name
    classes: tuple[str, ...]
    report: ModelReport

    def to_json(self) -> dict[str, JsonValue]:
        """The content of about.json; the curve is in metrics.jsonl."""
        report = {key: value for key, value in self.report.to_json().items() if key != "curve"}
        return {"job": self.job, "classes": self.classes, **report}


@dataclass(frozen=True)
class CheckedItems:
    """The result of checking items."""

    items: int
    wrong: int
    path: Path  # of the labelled table


def workshop_of(job: Job, options: RunOptions, folder: Path, reporter: ProgressReporter) -> Workshop:
    """The workshop of a job, with the user's data."""
    return open_workshop(plan_run(job, options), folder, reporter)


def train_model(
    job: Job, model: str, options: RunOptions, folder: Path, reporter: ProgressReporter
) -> TrainedModel:
    """Train one model of a job into a folder; what is known of it, also left there as about.json."""
    workshop = workshop_of(job, replace(options, models=(model,)), folder, reporter)
    reporter.stage(model)
    report = workshop.train(model, folder, reporter)
    trained = TrainedModel(job.name, workshop.data_report().classes, report)
    if is_first_process():
        write_whole(folder / ABOUT, to_json(trained.to_json()))
    return trained


def check_items(
    job: Job, items: Path, options: RunOptions, out: Path, reporter: ProgressReporter
) -> CheckedItems:
    """Check items by the job's check and score them by its judge; write labels for `certify`.

    items: a folder with items.csv (columns item, asked), as `tolerate generate` writes it.
    """
    workshop = workshop_of(job, options, items, reporter)
    listed = tables.read_texts(items / "items.csv", ("item", "asked"))
    reporter.stage("check")
    requests = _requests(listed, workshop.data_report().classes, items / "items.csv")
    contents = workshop.open_items([items / name for name in listed["item"]])
    verdicts, scores = workshop.check(contents, requests), workshop.score(contents, requests)
    columns: dict[str, Sequence[object] | Floats] = {**listed}
    columns |= {"read": list(verdicts.reads), "score": scores, "loss": verdicts.losses}
    tables.write(out, columns)
    return CheckedItems(len(requests), int((verdicts.losses > 0).sum()), out)


def _requests(listed: Mapping[str, list[str]], classes: tuple[str, ...], path: Path) -> Ints:
    """The class that is asked for in each row."""
    unknown = sorted(set(listed["asked"]) - set(classes))
    if unknown:
        raise DataError(f'{path} asks for "{unknown[0]}". {hint(unknown[0], classes)}')
    return np.array([classes.index(name) for name in listed["asked"]], dtype=np.int64)
