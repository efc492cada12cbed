"""Users with roles, their sessions, and the API keys of applications. Secrets are stored as hashes only.

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

ROLES = {  # role -> permissions
    "owner": {"review", "adjudicate", "see", "promise", "people", "export", "import"},
    "engineer": {"review", "adjudicate", "see", "promise", "export", "import"},
    "reviewer": {"review"},
    "auditor": {"see", "export"},
}
SCOPES = ("complete", "decide", "read")  # of an API key
SCRYPT_OPTIONS = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}
SESSION_SECONDS = 12 * 3600.0
MIN_PASSWORD_CHARACTERS = 10


@dataclass(frozen=True)
class User:
    """A user of the desk."""

    name: str
    role: str
    lang: str

    def may(self, permission: str) -> bool:
        """Whether the role allows it."""
        return permission in ROLES[self.role]


@dataclass(frozen=True)
class Session:
    """A user who has logged in. csrf: the token that their forms carry; hash: of the session's token."""

    user: User
    csrf: str
    hash: str


@dataclass(frozen=True)
class Key:
    """An API key. rate: requests a second, 0 for no limit; jobs: () for every job."""

    id: str
    name: str
    scopes: tuple[str, ...]
    jobs: tuple[str, ...]
    rate: float
    expires: float | None

    def may(self, scope: str, job: str | None = None) -> bool:
        """Whether the key has this scope, and may be used for this job."""
        return scope in self.scopes and (job is None or not self.jobs or job in self.jobs)


def digest(secret: str) -> str:
    """The SHA-256 of a random secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_password(password: str, salt: bytes | None = None) -> str:
    """The stored form of a password: `scrypt$salt$hash`."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, dklen=32, **SCRYPT_OPTIONS).hex()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether this is the password of a stored hash; takes as long for a wrong one."""
    _, salt, _ = stored.split("$")
    return hmac.compare_digest(hash_password(password, bytes.fromhex(salt)), stored)


@cache
def unusable_hash() -> str:
    """A hash that fits no password: an unknown name is refused as slowly as a wrong password."""
    return hash_password(secrets.token_urlsafe(32))


def add_user(
    db: Database, name: str, password: str, role: str, by: str, now: float, lang: str = "en"
) -> None:
    """Add a user of the desk."""
    if role not in ROLES:
        raise OptionError(f'there is no role "{role}"; known: {", ".join(ROLES)}')
    if not name.strip() or len(name) > 80:
        raise OptionError("a name has 1 to 80 characters")
    _refuse_short(password)
    if db.first("SELECT 1 FROM users WHERE name = ?", name):
        raise OptionError(f'there is a user "{name}" already; choose another name')
    db.run("INSERT INTO users VALUES (?, ?, ?, ?, ?, NULL)", name, role, hash_password(password), lang, now)
    append(db, "user", now, name=name, role=role, by=by, what="added")


def _refuse_short(password: str) -> None:
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise OptionError(
            f"the password has {len(password)} characters; expected {MIN_PASSWORD_CHARACTERS} or more"
        )


def reset_password(db: Database, name: str, by: str, now: float) -> str:
    """Set a random password for a user and return it; it is not stored, and every session of the user ends.

    Raises OptionError if there is no such user, or the user is disabled.
    """
    may_log_in = {user.name: may for user, may in users(db)}
    if name not in may_log_in:
        raise OptionError(f'there is no user "{name}". {hint(name, may_log_in)}')
    if not may_log_in[name]:
        raise OptionError(
            f"{name} is disabled, so that a password would not help; add a user of another name"
        )
    password = secrets.token_urlsafe(12)
    set_password(db, name, password, now, by)
    return password


def set_password(db: Database, name: str, password: str, now: float, by: str | None = None) -> None:
    """Set a password; every session of the user ends. by: who set it, None for the user."""
    _refuse_short(password)
    db.run("UPDATE users SET hash = ? WHERE name = ?", hash_password(password), name)
    db.run("DELETE FROM sessions WHERE name = ?", name)
    append(db, "user", now, name=name, by=by or name, what="new password")


def disable_user(db: Database, name: str, by: str, now: float) -> None:
    """Disable a user and end every session of theirs."""
    db.run("UPDATE users SET disabled = ? WHERE name = ?", now, name)
    db.run("DELETE FROM sessions WHERE name = ?", name)
    append(db, "user", now, name=name, by=by, what="disabled")


def users(db: Database) -> list[tuple[User, bool]]:
    """All users, each with whether they may log in."""
    user_rows = db.all("SELECT name, role, lang, disabled FROM users ORDER BY name")
    return [(User(name, role, lang), disabled is None) for name, role, lang, disabled in user_rows]


def check_password(db: Database, name: str, password: str) -> User | None:
    """The user with this name and password, or None; both take a fifth of a second."""
    row = db.first("SELECT hash, role, lang FROM users WHERE name = ? AND disabled IS NULL", name)
    good = password_matches(password, unusable_hash() if row is None else row[0])
    return User(name, row[1], row[2]) if row is not None and good else None


def open_session(db: Database, user: str, now: float) -> str:
    """Open a session; return its token, which is stored only as a hash."""
    token = secrets.token_urlsafe(32)
    db.run("DELETE FROM sessions WHERE expires < ?", now)
    db.run(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
        digest(token),
        user,
        secrets.token_urlsafe(18),
        now,
        now + SESSION_SECONDS,
    )
    return token


def session(db: Database, token: str, now: float) -> Session | None:
    """The session of a token; None if it has ended or the user is disabled."""
    row = db.first(
        "SELECT s.hash, s.csrf, u.name, u.role, u.lang FROM sessions s JOIN users u ON u.name = s.name "
        "WHERE s.hash = ? AND s.expires > ? AND u.disabled IS NULL",
        digest(token),
        now,
    )
    return None if row is None else Session(User(row[2], row[3], row[4]), row[1], row[0])


def close_session(db: Database, hash: str) -> None:
    """End a session."""
    db.run("DELETE FROM sessions WHERE hash = ?", hash)


def set_language(db: Database, name: str, lang: str) -> None:
    """Store the language of a user."""
    db.run("UPDATE users SET lang = ? WHERE name = ?", lang, name)


def add_key(
    db: Database,
    name: str,
    by: str,
    now: float,
    *,
    scopes: tuple[str, ...] = SCOPES,
    jobs: tuple[str, ...] = (),
    rate: float = 0.0,
    expires: float | None = None,
) -> str:
    """Add an API key and return its secret, which is stored only as a hash. rate: requests a second, 0 for no limit."""
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
        now,
        expires,
    )
    append(db, "key", now, key=id, name=name, scopes=list(scopes), by=by, what="made")
    return secret


def revoke_key(db: Database, id: str, by: str, now: float) -> bool:
    """Revoke a key; return whether it was valid before."""
    if not db.run("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", now, id):
        return False
    append(db, "key", now, key=id, by=by, what="revoked")
    return True


def key(db: Database, hash: str, now: float) -> Key | None:
    """The valid key with this hash; None if it is unknown, revoked or expired."""
    row = db.first(
        "SELECT id, name, scopes, jobs, rate, expires FROM keys WHERE hash = ? AND revoked IS NULL "
        "AND (expires IS NULL OR expires > ?)",
        hash,
        now,
    )
    return None if row is None else _key(row)


def keys(db: Database) -> list[tuple[Key, float | None]]:
    """All keys, newest first, each with the time at which it was revoked."""
    key_rows = db.all("SELECT id, name, scopes, jobs, rate, expires, revoked FROM keys ORDER BY at DESC")
    return [(_key(row[:6]), row[6]) for row in key_rows]


def _key(row: Row) -> Key:
    id, name, scopes, jobs, rate, expires = row
    return Key(id, name, tuple(scopes.split()), tuple(jobs.split()), float(rate), expires)
