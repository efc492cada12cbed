"""Pictures from one trained model: image files and a table of what each was asked to be."""

from pathlib import Path

import numpy as np

from tolerate.base.arrays import Ints
from tolerate.base.files import read_json, write_whole
from tolerate.data import tables
from tolerate.errors import OptionError, hint
from tolerate.modality import Pictures, to_png
from tolerate.runs.progress import ProgressReporter
from tolerate.runs.steps import ABOUT


def generate_pictures(
    folder: Path, class_name: str | None, count: int, out: Path, seed: int, reporter: ProgressReporter
) -> int:
    """Draw pictures with the model in a folder: PNG files and items.csv in `out`. Returns how many were drawn.

    class_name: what each item is asked to be; None for every class in turn.
    """
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
    requests = _requests(classes, class_name, count)
    reporter.stage("generate")
    contents = drawings(folder, requests, seed)
    names = [f"{index:05}_{classes[request]}{Pictures.suffix}" for index, request in enumerate(requests)]
    for index, (name, content) in enumerate(zip(names, contents, strict=True)):
        write_whole(out / name, to_png(content))
        reporter.progress(index / count, f"{index} of {count}")
    tables.write(out / "items.csv", {"item": names, "asked": [classes[request] for request in requests]})
    return len(names)


def _requests(classes: list[str], class_name: str | None, count: int) -> Ints:
    if class_name is None:
        return np.arange(count, dtype=np.int64) % len(classes)
    if class_name not in classes:
        raise OptionError(f'the model knows no "{class_name}". {hint(class_name, classes)}')
    return np.full(count, classes.index(class_name), dtype=np.int64)
