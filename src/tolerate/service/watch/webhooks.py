"""Notices to webhooks: signed, from rows that are durable before anything is sent, and sent until they are taken.

The signature follows the Standard Webhooks specification, so that any of its libraries can check it: HMAC-SHA256 over
`id.timestamp.body` with the secret's bytes, in base64. A receiver refuses what is not signed or too old, and knows by
the id what it has heard already.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping

import orjson

from tolerate.errors import OptionError
from tolerate.service.database_reader import Reader
from tolerate.service.http.logging import log
from tolerate.service.upstream.pool import Upstreams
from tolerate.store import Database, Writer, deliveries
from tolerate.store.schema import meta, set_meta

LOOK = 1.0  # seconds between looks at what is due
PREFIX = "whsec_"
OLD = 300.0  # seconds after which a receiver should refuse a notice


class Notices:
    """What tells the webhooks."""

    def __init__(self, urls: tuple[str, ...], writer: Writer, reader: Reader, upstreams: Upstreams) -> None:
        self.urls, self.writer, self.reader, self.upstreams = urls, writer, reader, upstreams
        self.secret = ""
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def work(self) -> None:
        """Send what is due, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK)
            self._woken.clear()
            try:
                while await self.send():
                    pass
            except Exception as error:  # the database may be busy: the rows are still there
                log("fault", where="notices", kind=type(error).__name__)

    async def send(self) -> bool:
        """One try of each webhook's next notice; whether one was taken, so that another may wait behind it."""
        found = await self.reader.ask(deliveries.due, self.urls, time.time())
        taken = await asyncio.gather(*(self._one(notice) for notice in found))
        return any(taken)

    async def _one(self, notice: deliveries.Notice) -> bool:
        body = orjson.dumps(notice.body)
        headers = signed(self.secret, f"alarm_{notice.alarm}", int(time.time()), body)
        taken = await self.upstreams.tell(notice.url, body, headers)
        kept = await self.writer.do(deliveries.tried, notice, taken, time.time())
        if not kept:
            log("webhook", url=notice.url, alarm=notice.alarm, what="given up")
        return taken


def signed(secret: str, id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that vouch for a notice.

    >>> signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...     b'{"test": 2432232314}')["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    digest = hmac.digest(key_of(secret), f"{id}.{at}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signature}


def accepts(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a notice is ours and fresh: what a receiver does with it."""
    at = headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(now - int(at)) > OLD:
        return False
    ours = signed(secret, headers.get("webhook-id", ""), int(at), body)["webhook-signature"]
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(ours.encode(), each.encode()) for each in given)


def key_of(secret: str) -> bytes:
    """The bytes of a secret: base64 after `whsec_`, else the text itself."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise OptionError(
            f'the webhooks\' secret is not base64 after "{PREFIX}"; leave the prefix out'
        ) from None


def secret_of(db: Database, given: str | None) -> tuple[str, bool]:
    """The secret that signs: the one given, else the database's own; and whether it was made just now."""
    if given:
        key_of(given)
        return given, False
    known = meta(db, "webhook_secret")
    if known is not None:
        return known, False
    made = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    set_meta(db, "webhook_secret", made)
    return made, True
