"""The own error of a check of texts, in words: measured on right texts and on texts with a fault put in."""

from tolerate.checks.own_error import OwnError
from tolerate.messages.catalogue import joined, message


def own_error_sentence(error: OwnError) -> str:
    """The figures in words, for a certificate.

    >>> print(own_error_sentence(OwnError(faulty=10, missed=1)))
    of 10 texts with a fault put in it missed 1; how often it refuses right ones was not measured
    """
    if not error.tested:
        return message("check.unmeasured")
    missed = message("check.missed", faulty=error.faulty, missed=error.missed)
    if not error.right:
        return joined([missed, message("check.refused_unknown")])
    return joined([missed, message("check.refused", right=error.right, refused=error.refused)])
