"""An automatic check compared with a person: how often they differ, and the risk corrected by the person's verdicts.

It is reported next to a certificate that rests on the person alone, and is not part of the promise.
"""

import numpy as np
from numpy.typing import NDArray

from tolerate.messages.catalogue import message
from tolerate.stats.audit.assisted import prediction_powered

Floats = NDArray[np.float64]


def compare_with_person(name: str, check: Floats, person: Floats, further: Floats) -> str:
    """A sentence on a check's own error, measured against a person, and on the risk corrected by the person.

    check, person: [n] losses of the same items. further: [m] the check's losses of other such items.

    >>> check, person = np.zeros(100), np.zeros(100)
    >>> person[:5] = check[3:6] = 1.0
    >>> compare_with_person("rule", check, person, np.zeros(50))
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
    corrected = prediction_powered(person, check, further, confidence=0.95)
    if corrected.advice:  # too few errors for the normal approximation
        return sentence
    return message(
        "people.check_corrected",
        check=sentence,
        further=len(further),
        risk=max(corrected.mean, 0.0),
        low=max(corrected.low, 0.0),
        high=min(corrected.high, 1.0),
    )
