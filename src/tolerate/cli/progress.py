"""Shows progress: a bar in a terminal, lines elsewhere; everything is also written to log.txt."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS_BETWEEN_LINES = 5.0  # where the output is not a terminal


class Console:
    """Progress over a known number of stages, with the time left; a context manager."""

    def __init__(self, stages: int, log: Path | None = None, quiet: bool = False) -> None:
        self.stages = max(stages, 1)
        self.log = log
        self.quiet = quiet
        self.started = time.monotonic()
        self._stage = -1
        self._name = ""
        self._last_line = 0.0
        self._tty = sys.stderr.isatty() and not quiet
        self._bar = _Bar() if self._tty else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            if error is None:
                self._bar.move(1.0, "done", 0.0)
            self._bar.close()
        if error is not None:
            self._write(f"stopped: {error or kind}")

    def stage(self, name: str) -> None:
        """Begin a new stage."""
        self._stage, self._name = self._stage + 1, name
        self._write(name)
        self._show(0.0, "", always=True)

    def progress(self, share: float, text: str) -> None:
        """Show the share of the stage that is done, 0 to 1, and what is going on."""
        self._show(share, text)

    def note(self, text: str) -> None:
        """Print a line that stays, and log it."""
        self._write(text)
        if self._bar:
            self._bar.say(text)
        elif not self.quiet:
            print(f"  {text}", file=sys.stderr, flush=True)

    def call(self, text: str) -> None:
        """Print a line that needs an action, even in quiet mode; it is not logged."""
        if self._bar:
            self._bar.say(text)
        else:
            print(f"  {text}", file=sys.stderr, flush=True)

    def _show(self, share: float, text: str, always: bool = False) -> None:
        done = min((max(self._stage, 0) + share) / self.stages, 1.0)
        spent = time.monotonic() - self.started
        left = spent * (1 - done) / done if done > 0.02 else float("nan")
        if self._bar:
            self._bar.move(done, f"{self._name} {text}".strip(), left)
        elif not self.quiet and (always or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES):
            self._last_line = time.monotonic()
            remaining_text = "" if left != left else f", about {left:.0f} s left"
            print(f"[{done:4.0%}] {self._name} {text}{remaining_text}".rstrip(), file=sys.stderr, flush=True)

    def _write(self, text: str) -> None:
        if (
            self.log is not None and (self.log.parent / "run.json").exists()
        ):  # never in a folder that holds no run
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")


class _Bar:
    """A progress bar with what is going on and the time left."""

    def __init__(self) -> None:
        from rich.console import Console as Screen
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._progress = Progress(
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[left]}"),
            console=Screen(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0, left="")

    def open(self) -> None:
        self._progress.start()

    def close(self) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def move(self, done: float, text: str, left: float) -> None:
        remaining_text = "" if left != left or done >= 1 else f"about {left:.0f} s left"
        self._progress.update(self._task, completed=done, description=text, left=remaining_text)
