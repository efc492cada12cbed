"""The full HTTP client, for what is rare: streams that are passed on, lists of models, webhooks."""

import socket

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from tolerate.gateway.guard import refuse


class Resolver(ThreadedResolver):
    """Looks names up and leaves out what must not be called, at each connection."""

    def __init__(self, private: bool) -> None:
        super().__init__()
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name that may be called."""
        found = await super().resolve(host, port, family)
        allowed = [
            each for each in found if refuse(each["host"].split("%")[0], private=self._private) is None
        ]
        if not allowed:
            raise OSError(f"{host} leads to no address that may be called")
        return allowed


def session(private: bool) -> aiohttp.ClientSession:
    """A pool of connections without cookies, proxies or redirects kept in mind."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=10, resolver=Resolver(private)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
