"""Rules for upstream addresses: no metadata services, no link-local ones, private ones only on request."""

import ipaddress
import socket
from urllib.parse import urlsplit

from tolerate.errors import OptionError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def forbidden_reason(address: str, *, private: bool) -> str | None:
    """The reason why an IP address must not be called; None if it may be.

    >>> forbidden_reason("169.254.169.254", private=True)
    'link-local'
    >>> forbidden_reason("127.0.0.1", private=False)
    'private'
    >>> forbidden_reason("8.8.8.8", private=False)
    """
    ip = _unwrapped(ipaddress.ip_address(address))
    if ip.is_link_local:
        return "link-local"
    if ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
        return "reserved"
    if str(ip) in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192"):
        return "a cloud's metadata service"
    return "private" if not private and not ip.is_global else None


def _unwrapped(ip: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4)."""
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def check_url(url: str, *, private: bool, resolve: bool = True) -> str:
    """The URL, if it may be called; raises OptionError with the reason.

    Names are looked up here and again at each connection (`transport.UpstreamPool`), so that a name that changes its
    address in between is noticed.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError(f'"{url}" is not an HTTP address; expected one such as http://localhost:8000/v1')
    if parts.username or parts.password:
        raise OptionError("an address must not hold a password; name a variable with the key instead")
    for address in _addresses(parts.hostname) if resolve else ():
        reason = forbidden_reason(address, private=private)
        if reason:
            raise OptionError(
                f"{parts.hostname} leads to {address}, which is {reason}; such an address is never called"
            )
    return url.rstrip("/")


def _addresses(host: str) -> list[str]:
    try:
        ipaddress.ip_address(host)
        return [host]
    except ValueError:
        pass
    try:
        return sorted({str(info[4][0]).split("%")[0] for info in socket.getaddrinfo(host, None)})
    except OSError:
        return []  # it may come up later; it is looked up again at each connection
