"""Options of a run: those that every job takes, and those of one modality."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from tolerate.base.json_types import JsonValue
from tolerate.errors import OptionError
from tolerate.records import Job


@dataclass(frozen=True)
class ModalityOptions:
    """Options of one modality beside the common ones; this base has none.

    A subclass adds fields whose default means "not given". Which of them a job takes, the job says in `Job.options`.
    """

    def set_names(self) -> list[str]:
        """The options that differ from their defaults."""
        values = vars(self)
        return [option.name for option in fields(self) if values[option.name] != option.default]

    def resolve(self, job: Job, refine: tuple[str, ...]) -> tuple[str, ...]:
        """The refinings of a run with these options; raises OptionError for an option that the job does not take."""
        for name in self.set_names():
            if name not in job.options:
                raise OptionError(f"the job {job.name} takes no --{name}")
        return refine

    def result_keys(self) -> Mapping[str, JsonValue]:
        """The given options that the result depends on, as run.json keeps them."""
        return {}


Kind = TypeVar("Kind", bound=ModalityOptions)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run of any job; None or empty means the job's default."""

    data: Path | None = None
    models: tuple[str, ...] = ()
    refine: tuple[str, ...] = ()
    tolerance: float | None = None
    confidence: float | None = None
    labels: int | None = None
    proof: int | None = None
    budget: float | None = None  # seconds of training a model
    seed: int = 0
    lang: str = "en"
    steps: int | None = None  # of training a model
    device: str = "auto"
    workers: int | None = None  # processes that train beside the run; by default one a spare core
    board: bool = False  # write TensorBoard's logs too
    reviews: int = 300  # items that a person judges under `review`
    review: bool = False  # a person gives the verdicts, in place of the check
    modality: ModalityOptions = field(default_factory=ModalityOptions)  # such as TextOptions(judge=...)

    def modality_options(self, kind: type[Kind]) -> Kind:
        """The modality's options as those of this class, with its defaults where none were given."""
        if isinstance(self.modality, kind):
            return self.modality
        if self.modality.set_names():
            raise OptionError(f"expected options of {kind.__name__}, got {type(self.modality).__name__}")
        return kind()
