"""The own error of a check of pictures, measured on real pictures whose class is known: each should pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tolerate.checks import Verdicts
from tolerate.checks.own_error import OwnError
from tolerate.errors import DataError
from tolerate.messages.catalogue import message


def own_error_sentence(error: OwnError) -> str:
    """The check's own error as a sentence of a certificate.

    >>> print(own_error_sentence(OwnError(right=200, refused=2, unrecognised=1)))
    Of 200 further real pictures it misread 1 and could not read 1: 1% wrong (95% interval 0.12% to 3.6%).
    """
    low, high = error.interval()
    return message(
        "check.pictures",
        pictures=error.tested,
        misread=error.refused - error.unrecognised,
        none=error.unrecognised,
        rate=error.rate,
        low=low,
        high=high,
    )


def count_misread(labels: NDArray[np.int64], truth: NDArray[np.int64], classes: Sequence[str]) -> OwnError:
    """Count a reader's errors on real pictures: its labels against the true ones, len(classes) for none.

    >>> count_misread(np.array([0, 1, 2, 1]), np.array([0, 1, 1, 0]), ["a", "b"])
    OwnError(faulty=0, missed=0, right=4, refused=2, unrecognised=1)
    """
    if len(labels) == 0 or len(labels) != len(truth):
        raise DataError(
            f"{len(labels)} readings of {len(truth)} pictures; expected the same number, and one at least"
        )
    none = labels == len(classes)
    return OwnError(right=len(labels), refused=int((labels != truth).sum()), unrecognised=int(none.sum()))


def own_error_of(verdicts: Verdicts, classes: Sequence[str]) -> OwnError:
    """Count any check's errors from its verdicts on real pictures, each requested as what it is.

    >>> own_error_of(Verdicts(np.array([0.0, 1.0, 1.0]), ["a", "b", "too little ink"]), ["a", "b"])
    OwnError(faulty=0, missed=0, right=3, refused=2, unrecognised=1)
    """
    if not len(verdicts.losses):
        raise DataError("there are no verdicts to count; expected one at least")
    refused = [read for read, loss in zip(verdicts.reads, verdicts.losses, strict=True) if loss > 0]
    return OwnError(
        right=len(verdicts.losses),
        refused=len(refused),
        unrecognised=sum(read not in classes for read in refused),
    )
