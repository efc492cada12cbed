"""What counts as wrong, and what merely ranks: checks give losses, judges give scores.

A check or judge is learned from real items that nothing else has seen, then asked about made ones:

    check = maker(images, labels, classes, seed)      losses and what was seen = check(contents, requests)
    judge = maker(images, labels, classes, seed)      scores = judge(contents, requests)

One file each, one line here; wherever a name is accepted, `package.module:attribute` of a maker is too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tolerate.base.registry import attribute
from tolerate.errors import OptionError, hint

Contents = NDArray[Any]  # [n, ...] what was made, one row an item
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Verdicts:
    """What a check says of items: loss [n], 0 fine to 1 unacceptable, and in words what it saw [n]."""

    losses: Floats
    reads: Sequence[str]


class Check(Protocol):
    """Says what is wrong; its losses are what a promise counts."""

    def __call__(self, contents: Contents, requests: Ints) -> Verdicts:
        """Is each item what was asked for?"""


class Judge(Protocol):
    """Ranks; no promise rests on its scores."""

    def __call__(self, contents: Contents, requests: Ints) -> Floats:
        """How likely each item is to be acceptable, higher is better: [n]."""


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
    found: CheckMaker = _find("check", name, CHECKS)
    return found


def find_judge(name: str) -> JudgeMaker:
    """The maker of a judge, by its listed name or as `package.module:attribute`."""
    found: JudgeMaker = _find("judge", name, JUDGES)
    return found


def _find(kind: str, name: str, listed: dict[str, str]) -> Any:
    if name not in listed and ":" not in name:
        raise OptionError(f'no {kind} is called "{name}". {hint(name, listed)}')
    found = attribute(listed.get(name, name))
    if not callable(found):
        raise OptionError(f"{name} is {found!r}, expected a function that makes a {kind}")
    return found
