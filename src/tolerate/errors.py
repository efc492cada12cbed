"""The errors a user can meet. Each says what came, what was expected, and what to try.

    TolerateError (a ValueError)
      +-- DataError      a table, picture or record that cannot be used as it is
      +-- OptionError    an option, or a combination of options, that means nothing
      +-- RunError       a run folder that cannot be continued or read

The command line prints the message, without a trace, and exits with code 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TolerateError(ValueError):
    """Base of the errors that a user can fix; the message says how."""


class DataError(TolerateError):
    """A table, picture or record cannot be used as it is."""


class OptionError(TolerateError):
    """An option, or a combination of options, means nothing."""


class RunError(TolerateError):
    """A run folder cannot be continued or read."""


def hint(name: str, existing: Iterable[str]) -> str:
    """A closing sentence that names what exists and, if one is near, what was probably meant.

    >>> hint("eror", ["error", "score"])
    'Known: error, score. Did you mean "error"?'
    """
    names = list(existing)
    near = get_close_matches(name, names, n=1)
    meant = f' Did you mean "{near[0]}"?' if near else ""
    return f"Known: {', '.join(names)}.{meant}"
