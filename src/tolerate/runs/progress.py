"""The interface by which a run reports its progress."""

from typing import Protocol

from tolerate.base.workers import ProgressCallback


class ProgressReporter(Protocol):
    """Takes the progress of a run."""

    def stage(self, name: str) -> None:
        """Report that a new stage begins."""

    def progress(self, share: float, text: str) -> None:
        """Report the share of the stage that is done, 0 to 1."""

    def note(self, text: str) -> None:
        """Report a note for the log."""


class SilentReporter:
    """Reports nothing."""

    def stage(self, name: str) -> None:
        """Ignore it."""

    def progress(self, share: float, text: str) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


class TrainingReporter(SilentReporter):
    """Reports the progress of one training from a worker process."""

    def __init__(self, model: str, tell: ProgressCallback) -> None:
        self.model, self.tell = model, tell

    def progress(self, share: float, text: str) -> None:
        """Send it on with the model's name, since others may train at the same time."""
        self.tell(share, f"training {self.model}: {text}")
