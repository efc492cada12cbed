"""A cheap check beside a person: how often the two differ, and what the person's verdicts make of the check's.

It is told beside a certificate that rests on the person alone, and is no part of the promise.
"""

import numpy as np
from numpy.typing import NDArray

from tolerate.messages.catalogue import message
from tolerate.stats.audit.assisted import prediction_powered

Floats = NDArray[np.float64]


def beside(name: str, check: Floats, person: Floats, further: Floats) -> str:
    """A sentence on a check's own error against a person, and the risk when the person corrects it.

    check, person: [n] losses of the same items. further: [m] the check's losses of other such items.

    >>> said, right = np.zeros(100), np.zeros(100)
    >>> right[:5] = said[3:6] = 1.0
    >>> beside("rule", said, right, np.zeros(50))
    'The check rule missed 3 of the 5 that the person called wrong and refused 1 of the 95 others.'
    """
    wrong = person > 0
    missed, refused = int((check[wrong] == 0).sum()), int((check[~wrong] > 0).sum())
    sentence = message(
        "people.check",
        check=name,
        missed=missed,
        wrong=int(wrong.sum()),
        refused=refused,
        right=int((~wrong).sum()),
    )
    if len(person) < 2 or len(further) < 2:
        return sentence
    found = prediction_powered(person, check, further, confidence=0.95)
    if found.advice:  # too few errors for the normal approximation
        return sentence
    return message(
        "people.check_corrected",
        check=sentence,
        further=len(further),
        risk=max(found.mean, 0.0),
        low=max(found.low, 0.0),
        high=min(found.high, 1.0),
    )
