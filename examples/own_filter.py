"""Use a function of your own by its name: wherever a listed name is accepted, `package.module:attribute` is too.

`clear_cut` is a filter of refining. It gets the candidates of many requests and drops those that the judge scores at
most 0.5. The run below draws each digit four times, filters by `own_filter:clear_cut`, takes the best, and certifies
the result. It takes about half a minute and needs the extra `models` (torch).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def clear_cut(pool: Any) -> Any:
    """Keep the candidates that the judge scores above 0.5; `pool.scores` has the shape [requests, candidates]."""
    return pool.keep(pool.scores > 0.5)


RUN = "run digits --models cvae --budget 2s --labels 600 --proof 300 --workers 0"

if __name__ == "__main__":
    folder = str(Path(__file__).resolve().parent)  # where Python finds the module own_filter
    path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "tolerate",
            *RUN.split(),
            "--refine",
            "best-of-4+own_filter:clear_cut",
        ]
        subprocess.run(
            [*command, "--out", folder + "/run"], env={**os.environ, "PYTHONPATH": path}, check=True
        )
