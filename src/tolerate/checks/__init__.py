"""Checks and judges: a check gives the losses that count, a judge gives the scores that rank.

A check or judge is fitted on real items that no other part of the run has used, then applied to generated items:

    check = maker(images, labels, classes, seed)      losses and readings = check(contents, requests)
    judge = maker(images, labels, classes, seed)      scores = judge(contents, requests)

Each has its own file and one line below; wherever a name is accepted, `package.module:attribute` of a maker is too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tolerate.base.arrays import Contents, Floats, Ints
from tolerate.base.registry import attribute, entry_named
from tolerate.errors import OptionError


@dataclass(frozen=True)
class Verdicts:
    """The result of a check: losses [n], 0 fine to 1 unacceptable, and what it read in each item [n]."""

    losses: Floats
    reads: Sequence[str]


class Check(Protocol):
    """Decides which items are wrong; certificates count its losses."""

    def __call__(self, contents: Contents, requests: Ints) -> Verdicts:
        """Check whether each item is what was requested."""


class Judge(Protocol):
    """Scores items; no promise depends on its scores being right."""

    def __call__(self, contents: Contents, requests: Ints) -> Floats:
        """Scores of how likely each item is to be acceptable, higher is better: [n]."""


CheckMaker = Callable[[Contents, Ints, Sequence[str], int], Check]
JudgeMaker = Callable[[Contents, Ints, Sequence[str], int], Judge]

CHECKS: dict[str, str] = {
    "reader": "tolerate.models.pictures.evaluation.reader:fit_reader",
    "ink": "tolerate.checks.pictures.ink:fit_ink",
}
JUDGES: dict[str, str] = {
    "network": "tolerate.models.pictures.evaluation.judge:fit_judge",
    "prototypes": "tolerate.checks.pictures.prototypes:fit_prototypes",
}


def find_check(name: str) -> CheckMaker:
    """The maker of a check, by its listed name or as `package.module:attribute`.

    >>> find_check("ink").__name__
    'fit_ink'
    """
    maker: CheckMaker = _find("check", name, CHECKS)
    return maker


def find_judge(name: str) -> JudgeMaker:
    """The maker of a judge, by its listed name or as `package.module:attribute`."""
    maker: JudgeMaker = _find("judge", name, JUDGES)
    return maker


def _find(kind: str, name: str, entries: dict[str, str]) -> Callable[..., Any]:
    maker: Callable[..., Any] = attribute(name if ":" in name else entry_named(name, entries, kind))
    if not callable(maker):
        raise OptionError(f"{name} is {maker!r}, expected a function that makes a {kind}")
    return maker
