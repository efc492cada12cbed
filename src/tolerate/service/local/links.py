"""Links that sign a person in once: what opens a desk is told to nobody but the terminal of the one who began it."""

import hmac
import secrets
from collections.abc import Callable

from tolerate.store.people import digest


class Links:
    """The links that were given out; a used one opens nothing, and a new one is printed where the first was."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self.base, self._say = "", say
        self._open: dict[str, str] = {}  # hash -> name
        self._used: dict[str, str] = {}

    def new(self, name: str) -> str:
        """A link for a person."""
        token = secrets.token_urlsafe(24)
        self._open[digest(token)] = name
        return f"{self.base}/desk/enter/{token}"

    def say(self, name: str) -> None:
        """Print a new link for a person."""
        self._say(name, self.new(name))

    def use(self, token: str) -> str | None:
        """Whom a link signs in, this once."""
        name = _found(self._open, digest(token))
        if name is not None:
            self._used[digest(token)] = name
            del self._open[digest(token)]
        return name

    def used(self, token: str) -> str | None:
        """Whom a link has signed in before."""
        return _found(self._used, digest(token))


def _found(known: dict[str, str], hash: str) -> str | None:
    return next((name for each, name in known.items() if hmac.compare_digest(each, hash)), None)
