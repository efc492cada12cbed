"""The values that the templates of the career pages are filled with, section by section."""

from dataclasses import dataclass

from markupsafe import Markup

from tolerate.messages.both import Both


@dataclass(frozen=True)
class GlanceFigure:
    """One of the figures at the top of the page."""

    label: Both
    value: Both
    note: Both


@dataclass(frozen=True)
class PictureSizes:
    """A picture for wide screens and one for narrow screens."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True)
class TaskCard:
    """One task with its tolerances, today's choice and what would change it."""

    name: Both
    kind: Both
    choice: str  # names the colour
    choice_text: Both
    severity: Both
    release: str
    review: str
    measured: Both
    source: str
    changes: list[Both]
    techniques: list[Both]
    command: str  # that measures the error
    details: list[Both]


@dataclass(frozen=True)
class TaskSection:
    """The tasks: their picture and a card each."""

    picture: PictureSizes
    cards: list[TaskCard]
    note: Both | None  # where no task has a severity of its own
    choices: list[tuple[str, Both]]


@dataclass(frozen=True)
class MoveRow:
    """One move in the table of moves."""

    name: Both
    code: str
    feasibility: str
    bar: Markup
    pay: str
    openings: str
    growth: str
    preparation: Both
    durability: str
    stays: str
    reasons: Both


@dataclass(frozen=True)
class MoveSection:
    """The moves of the Pareto set, or that no move passes the filters."""

    lead: Both
    rows: list[MoveRow]
    excluded: Both


@dataclass(frozen=True)
class SkillStep:
    """One skill of the learning path."""

    name: Both
    hours: str
    total: str
    reason: Both
    command: str
    resource: str


@dataclass(frozen=True)
class PathSection:
    """The learning path: skills, and between them the goals (as text) that are reached."""

    lead: Both
    picture: Markup | None
    steps: list[tuple[Both | None, SkillStep | None]]  # one of the two
    skipped: Both | None


@dataclass(frozen=True)
class TechniqueSection:
    """The rule of thumb by kind of content and band, and what was measured on this machine."""

    lead: Both
    runs: Both
    bands: list[Both]
    rows: list[tuple[Both, list[Both]]]
    measured: list[Both]


@dataclass(frozen=True)
class Appendix:
    """Every input, formula, source and note."""

    inputs: list[tuple[Both, str, Both]]
    formulas: list[Both]
    sources: list[tuple[str, str, str, str]]  # name, licence, date, contents
    notes: list[Both]


@dataclass(frozen=True)
class PlanSections:
    """All sections of a plan's page; a section without content is None."""

    glance: list[GlanceFigure]
    tasks: TaskSection
    map: PictureSizes
    moves: MoveSection | None
    path: PathSection | None
    techniques: TechniqueSection
    limits: list[Both]
    appendix: Appendix

    @property
    def contents(self) -> list[str]:
        """The names of the sections in the table of contents, in order."""
        optional = [("moves", self.moves), ("path", self.path)]
        present = [name for name, section in optional if section is not None]
        return ["tasks", "map", *present, "techniques", "limits", "appendix"]
