"""Notices to webhooks: signed, from rows that are durable before anything is sent, and sent until they are accepted.

The signature follows the Standard Webhooks specification, so that any of its libraries can check it: HMAC-SHA256 over
`id.timestamp.body` with the secret's bytes, in base64. A receiver refuses what is not signed or too old, and
recognises by the id what it has received already.
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
from tolerate.service.database_reader import DatabaseReader
from tolerate.service.http.logging import log
from tolerate.service.upstream.client import UpstreamClient
from tolerate.store import Database, DatabaseWriter, deliveries
from tolerate.store.schema import meta, set_meta

POLL_SECONDS = 1.0  # between looks at what is due
PREFIX = "whsec_"
MAX_AGE_SECONDS = 300.0  # after which a receiver should refuse a notice


class WebhookSender:
    """Sends the notices that are due to the webhooks, each until it is accepted."""

    def __init__(
        self, urls: tuple[str, ...], writer: DatabaseWriter, reader: DatabaseReader, upstreams: UpstreamClient
    ) -> None:
        self.urls, self.writer, self.reader, self.upstreams = urls, writer, reader, upstreams
        self.secret = ""
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Wake the sender: a notice may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Send due notices until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            self._wake.clear()
            try:
                while await self.send_due():
                    pass
            except Exception as error:  # the database may be busy: the rows are still there
                log("fault", where="notices", kind=type(error).__name__)

    async def send_due(self) -> bool:
        """Try each webhook's next notice once; whether one was accepted, so that another may wait behind it."""
        notices = await self.reader.query(deliveries.due_notices, self.urls, time.time())
        accepted = await asyncio.gather(*(self._send(notice) for notice in notices))
        return any(accepted)

    async def _send(self, notice: deliveries.Notice) -> bool:
        body = orjson.dumps(notice.body)
        headers = signature_headers(self.secret, f"alarm_{notice.alarm}", int(time.time()), body)
        accepted = await self.upstreams.notify(notice.url, body, headers)
        tries_left = await self.writer.do(deliveries.record_attempt, notice, accepted, time.time())
        if not tries_left:
            log("webhook", url=notice.url, alarm=notice.alarm, what="given up")
        return accepted


def signature_headers(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that sign a notice.

    >>> signature_headers("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...     b'{"test": 2432232314}')["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    digest = hmac.digest(key_of(secret), f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def verify_signature(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a notice is signed with the secret and fresh: what a receiver checks."""
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > MAX_AGE_SECONDS:
        return False
    expected = signature_headers(secret, headers.get("webhook-id", ""), int(timestamp), body)[
        "webhook-signature"
    ]
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in signatures)


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


def load_secret(db: Database, configured: str | None) -> tuple[str, bool]:
    """The secret that signs: the configured one, else the database's own; and whether it was generated just now."""
    if configured:
        key_of(configured)
        return configured, False
    stored = meta(db, "webhook_secret")
    if stored is not None:
        return stored, False
    secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    set_meta(db, "webhook_secret", secret)
    return secret, True
