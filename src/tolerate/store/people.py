"""Who may do what: users with roles, their sessions, and the applications' keys. Secrets are kept as hashes only.

Passwords are hashed by scrypt (slow on purpose); keys and session tokens are 32 random bytes, for which SHA-256 is
enough and costs half a microsecond a request.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cache

from tolerate.errors import OptionError, hint
from tolerate.store.database import Database, Row
from tolerate.store.ledger import append

ROLES = {  # role -> what it may do
    "owner": {"review", "adjudicate", "see", "promise", "people", "export", "import"},
    "engineer": {"review", "adjudicate", "see", "promise", "export", "import"},
    "reviewer": {"review"},
    "auditor": {"see", "export"},
}
SCOPES = ("complete", "decide", "read")  # of a key
SCRYPT = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
SESSION = 12 * 3600.0
SHORTEST = 10  # of a password


@dataclass(frozen=True)
class User:
    """A person at the desk."""

    name: str
    role: str
    lang: str

    def may(self, what: str) -> bool:
        """Whether the role allows it."""
        return what in ROLES[self.role]


@dataclass(frozen=True)
class Session:
    """A person who has logged in, and the token that their forms carry."""

    user: User
    csrf: str
    hash: str


@dataclass(frozen=True)
class Key:
    """An application's key. rate: requests a second; jobs: () for every job."""

    id: str
    name: str
    scopes: tuple[str, ...]
    jobs: tuple[str, ...]
    rate: float
    expires: float | None

    def may(self, scope: str, job: str | None = None) -> bool:
        """Whether the key opens this."""
        return scope in self.scopes and (job is None or not self.jobs or job in self.jobs)


def digest(secret: str) -> str:
    """The SHA-256 of a random secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_password(password: str, salt: bytes | None = None) -> str:
    """A password as it is kept: `scrypt$salt$hash`."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, dklen=32, **SCRYPT).hex()}"


def matches(password: str, kept: str) -> bool:
    """Whether this is the password; takes as long for a wrong one."""
    _, salt, _ = kept.split("$")
    return hmac.compare_digest(hash_password(password, bytes.fromhex(salt)), kept)


@cache
def nobody() -> str:
    """A hash that no password has, so that an unknown name takes as long as a wrong password."""
    return hash_password(secrets.token_urlsafe(32))


def add_user(db: Database, name: str, password: str, role: str, by: str, at: float, lang: str = "en") -> None:
    """A new person at the desk."""
    if role not in ROLES:
        raise OptionError(f'there is no role "{role}"; known: {", ".join(ROLES)}')
    if not name.strip() or len(name) > 80:
        raise OptionError("a name has 1 to 80 characters")
    _refuse_short(password)
    if db.one("SELECT 1 FROM users WHERE name = ?", name):
        raise OptionError(f'there is a user "{name}" already; choose another name')
    db.run("INSERT INTO users VALUES (?, ?, ?, ?, ?, NULL)", name, role, hash_password(password), lang, at)
    append(db, "user", at, name=name, role=role, by=by, what="added")


def _refuse_short(password: str) -> None:
    if len(password) < SHORTEST:
        raise OptionError(f"the password has {len(password)} characters; expected {SHORTEST} or more")


def reset_password(db: Database, name: str, by: str, at: float) -> str:
    """A new password for somebody who lost theirs; it is not kept, and every session of theirs ends.

    Raises OptionError if nobody has this name, or if the person is locked out.
    """
    known = {user.name: may for user, may in users(db)}
    if name not in known:
        raise OptionError(f'there is no user "{name}". {hint(name, known)}')
    if not known[name]:
        raise OptionError(
            f"{name} is locked out, and a password would not let them in; add a user of another name"
        )
    password = secrets.token_urlsafe(12)
    set_password(db, name, password, at, by)
    return password


def set_password(db: Database, name: str, password: str, at: float, by: str | None = None) -> None:
    """A new password; every session of the user ends. by: who gave it; the user, unless it says otherwise."""
    _refuse_short(password)
    db.run("UPDATE users SET hash = ? WHERE name = ?", hash_password(password), name)
    db.run("DELETE FROM sessions WHERE name = ?", name)
    append(db, "user", at, name=name, by=by or name, what="new password")


def disable_user(db: Database, name: str, by: str, at: float) -> None:
    """Lock a person out, at once."""
    db.run("UPDATE users SET disabled = ? WHERE name = ?", at, name)
    db.run("DELETE FROM sessions WHERE name = ?", name)
    append(db, "user", at, name=name, by=by, what="disabled")


def users(db: Database) -> list[tuple[User, bool]]:
    """Everyone, and whether they may log in."""
    found = db.all("SELECT name, role, lang, disabled FROM users ORDER BY name")
    return [(User(name, role, lang), disabled is None) for name, role, lang, disabled in found]


def check_password(db: Database, name: str, password: str) -> User | None:
    """The user with this name and password, or None; both take a fifth of a second."""
    row = db.one("SELECT hash, role, lang FROM users WHERE name = ? AND disabled IS NULL", name)
    good = matches(password, nobody() if row is None else row[0])
    return User(name, row[1], row[2]) if row is not None and good else None


def open_session(db: Database, user: str, at: float) -> str:
    """A new session; its token, which is not kept."""
    token = secrets.token_urlsafe(32)
    db.run("DELETE FROM sessions WHERE expires < ?", at)
    db.run(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
        digest(token),
        user,
        secrets.token_urlsafe(18),
        at,
        at + SESSION,
    )
    return token


def session(db: Database, token: str, at: float) -> Session | None:
    """The session of a token, while it lasts."""
    row = db.one(
        "SELECT s.hash, s.csrf, u.name, u.role, u.lang FROM sessions s JOIN users u ON u.name = s.name "
        "WHERE s.hash = ? AND s.expires > ? AND u.disabled IS NULL",
        digest(token),
        at,
    )
    return None if row is None else Session(User(row[2], row[3], row[4]), row[1], row[0])


def close_session(db: Database, hash: str) -> None:
    """Log out."""
    db.run("DELETE FROM sessions WHERE hash = ?", hash)


def speak(db: Database, name: str, lang: str) -> None:
    """Remember a person's language."""
    db.run("UPDATE users SET lang = ? WHERE name = ?", lang, name)


def add_key(
    db: Database,
    name: str,
    by: str,
    at: float,
    *,
    scopes: tuple[str, ...] = SCOPES,
    jobs: tuple[str, ...] = (),
    rate: float = 0.0,
    expires: float | None = None,
) -> str:
    """A new key; shown once, kept as its hash. rate: requests a second, 0 for no limit."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise OptionError(f"a key needs scopes among {', '.join(SCOPES)}; got {', '.join(scopes) or 'none'}")
    secret = "tol_" + secrets.token_urlsafe(32)
    id = secrets.token_hex(6)
    db.run(
        "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        id,
        digest(secret),
        name,
        " ".join(scopes),
        " ".join(jobs),
        rate,
        by,
        at,
        expires,
    )
    append(db, "key", at, key=id, name=name, scopes=list(scopes), by=by, what="made")
    return secret


def revoke_key(db: Database, id: str, by: str, at: float) -> bool:
    """A key opens nothing any more; whether it did before."""
    if not db.run("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", at, id):
        return False
    append(db, "key", at, key=id, by=by, what="revoked")
    return True


def key(db: Database, hash: str, at: float) -> Key | None:
    """The key with this hash, while it opens anything."""
    row = db.one(
        "SELECT id, name, scopes, jobs, rate, expires FROM keys WHERE hash = ? AND revoked IS NULL "
        "AND (expires IS NULL OR expires > ?)",
        hash,
        at,
    )
    return None if row is None else _key(row)


def keys(db: Database) -> list[tuple[Key, float | None]]:
    """Every key, and when it was revoked."""
    found = db.all("SELECT id, name, scopes, jobs, rate, expires, revoked FROM keys ORDER BY at DESC")
    return [(_key(row[:6]), row[6]) for row in found]


def _key(row: Row) -> Key:
    id, name, scopes, jobs, rate, expires = row
    return Key(id, name, tuple(scopes.split()), tuple(jobs.split()), float(rate), expires)
