"""Helpers of the career tests: calls of `tolerate career`, and small runs and releases on disk."""

import json
from pathlib import Path

from typer.testing import CliRunner

from tolerate.cli import app
from tolerate.errors import DataError, OptionError

RUNNER = CliRunner()


def call_career(*arguments: str) -> str:
    """The output of a `tolerate career` command."""
    result = RUNNER.invoke(app, ["career", *arguments])
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return result.output


def career_error(*arguments: str) -> str:
    """The message of the error that a `tolerate career` command ends with."""
    result = RUNNER.invoke(app, ["career", *arguments])
    assert isinstance(result.exception, (DataError, OptionError)), result.output
    return str(result.exception)


def write_run_summary(folder: Path) -> None:
    """Write the tolerance map of a run of the job digits."""
    folder.mkdir(parents=True)
    best = [
        {"tolerance": 0.1, "zone": "auto", "coverage": 1.0, "cost": 0.1, "strategy": "vae"},
        {"tolerance": 0.02, "zone": "part", "coverage": 0.6, "cost": 0.4, "strategy": "flow best-of-4"},
        {"tolerance": 0.01, "zone": "none", "coverage": 0.0, "cost": 5.0, "strategy": "people"},
    ]
    strategies = [
        {"id": "vae", "model": "vae", "family": "VAE"},
        {"id": "flow best-of-4", "model": "flow", "family": "flow", "refine": "best-of-4"},
    ]
    (folder / "summary.json").write_text(
        json.dumps(
            {"best": best, "strategies": strategies, "job": {"name": "digits"}, "created": "2026-01-01"}
        )
    )


def write_release(folder: Path, missing: tuple[str, ...] = ()) -> Path:
    """Write a release of three occupations in the layout of 30.x: other order of columns, other folder name."""
    tables = {
        "Occupation Data": (
            "Title\tO*NET-SOC "
            "Code\tDescription\nPainters\t99-1000.00\tPaint.\nBakers\t99-2000.00\tBake.\nPilots\t99-3000.00\tFly.\n"
        ),
        "Task Statements": (
            "Task ID\tO*NET-SOC Code\tTask\tTask Type\n1\t99-1000.00\tPaint pictures of "
            "bread.\tCore\n2\t99-2000.00\tBake bread.\tCore\n3\t99-3000.00\tFly aircraft.\t\n"
        ),
        "Work Context": (
            "O*NET-SOC Code\tElement Name\tScale ID\tData Value\n99-3000.00\tConsequence "
            "of Error\tCX\t4.9\n99-3000.00\tImportance of Being Exact or Accurate\tCX\t4.8\n"
        ),
        "Job Zones": "O*NET-SOC Code\tJob Zone\n99-1000.00\t2\n99-2000.00\t2\n99-3000.00\t4\n",
    }
    folder.mkdir()
    for name, text in tables.items():
        if name not in missing:
            (folder / f"{name}.txt").write_text(text, "utf-8")
    return folder
