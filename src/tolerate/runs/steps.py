"""The steps of a job one by one: train one model, let it make items, check items."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.base.registry import attribute
from tolerate.base.workers import leads
from tolerate.data import tables
from tolerate.errors import DataError, OptionError, hint
from tolerate.records import Job
from tolerate.runs.pipeline import Options, Say, Workshop, settle

ABOUT = "about.json"  # beside a model: its job, its classes, how it was trained


@dataclass(frozen=True)
class Checked:
    """What a check of items came to."""

    items: int
    wrong: int
    path: Path  # of the labelled table


def open_workshop(job: Job, options: Options, folder: Path, say: Say) -> Workshop:
    """The workshop of a job, with the user's data."""
    workshop: Workshop = attribute(job.workshop)(settle(job, options), options, folder, say)
    return workshop


def train_model(job: Job, model: str, options: Options, folder: Path, say: Say) -> dict[str, Any]:
    """Train one model of a job into a folder; what is known of it, also left there as about.json."""
    workshop = open_workshop(job, replace(options, models=(model,)), folder, say)
    say.stage(model)
    about = workshop.train(model, folder, say)
    classes = workshop.about_data()["classes"]
    record = {"job": job.name, "classes": classes, **{key: about[key] for key in about if key != "curve"}}
    if leads():
        write_whole(folder / ABOUT, to_json(record))
    return record


def generate(folder: Path, asked: str | None, count: int, out: Path, seed: int, say: Say) -> int:
    """Let the model kept in a folder make items: PNG files and items.csv; how many were made.

    asked: what each item is asked to be; None for every class in turn.
    """
    from tolerate.jobs.pictures.workshop import png
    from tolerate.models.pictures.drawing import drawings

    if count < 1:
        raise OptionError(f"count is {count}; expected at least 1")
    classes = [
        str(name) for name in read_json(folder / ABOUT, "a folder that `tolerate train` wrote")["classes"]
    ]
    if not classes:
        raise OptionError(
            f"{folder} holds a writer of texts, which answers its job's own requests; use `tolerate run` for those"
        )
    requests = _requests(classes, asked, count)
    say.stage("generate")
    drawn = drawings(folder, requests, seed)
    names = [f"{at:05}_{classes[request]}.png" for at, request in enumerate(requests)]
    for at, (name, content) in enumerate(zip(names, drawn, strict=True)):
        write_whole(out / name, png(content))
        say.progress(at / count, f"{at} of {count}")
    tables.write(out / "items.csv", {"item": names, "asked": [classes[request] for request in requests]})
    return len(names)


def _requests(classes: list[str], asked: str | None, count: int) -> NDArray[np.int64]:
    if asked is None:
        return np.arange(count, dtype=np.int64) % len(classes)
    if asked not in classes:
        raise OptionError(f'the model knows no "{asked}". {hint(asked, classes)}')
    return np.full(count, classes.index(asked), dtype=np.int64)


def check_items(job: Job, items: Path, options: Options, out: Path, say: Say) -> Checked:
    """Check pictures by the job's reader and score them by its judge; write labels for `certify`.

    items: a folder with items.csv (columns item, asked), as `generate` writes it.
    """
    workshop = open_workshop(job, options, items, say)
    listed = tables.read_texts(items / "items.csv", ("item", "asked"))
    say.stage("check")
    classes = workshop.about_data()["classes"]
    unknown = sorted(set(listed["asked"]) - set(classes))
    if unknown:
        raise DataError(f'{items / "items.csv"} asks for "{unknown[0]}". {hint(unknown[0], classes)}')
    requests = np.array([classes.index(name) for name in listed["asked"]], dtype=np.int64)
    contents = workshop.open_items([items / name for name in listed["item"]])
    verdicts, scores = workshop.check(contents, requests), workshop.score(contents, requests)
    columns: dict[str, Any] = {
        **listed,
        "read": list(verdicts.reads),
        "score": scores,
        "loss": verdicts.losses,
    }
    tables.write(out, columns)
    return Checked(len(requests), int((verdicts.losses > 0).sum()), out)
