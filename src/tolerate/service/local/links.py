"""Links that sign a person in once; they are printed only at the terminal of whoever started the desk."""

import hmac
import secrets
from collections.abc import Callable

from tolerate.store.people import digest


class LoginLinks:
    """Links by person. base: address of the desk; announce: called with the name and the new link."""

    def __init__(self, announce: Callable[[str, str], None]) -> None:
        self.base, self._announce = "", announce
        self._unused: dict[str, str] = {}  # hash of the token -> name
        self._used: dict[str, str] = {}

    def new(self, name: str) -> str:
        """A new link for a person."""
        token = secrets.token_urlsafe(24)
        self._unused[digest(token)] = name
        return f"{self.base}/desk/enter/{token}"

    def announce(self, name: str) -> None:
        """Announce a new link for a person."""
        self._announce(name, self.new(name))

    def use(self, token: str) -> str | None:
        """The person whom an unused link signs in; it cannot be used again. None for any other token."""
        name = _lookup(self._unused, digest(token))
        if name is not None:
            self._used[digest(token)] = name
            del self._unused[digest(token)]
        return name

    def used_by(self, token: str) -> str | None:
        """The person whom a used link has signed in; None for any other token."""
        return _lookup(self._used, digest(token))


def _lookup(names: dict[str, str], hash: str) -> str | None:
    """The name of a hash, compared in constant time."""
    return next((name for other, name in names.items() if hmac.compare_digest(other, hash)), None)
