"""URLs that users give us to ask: which ones we take, and which addresses a name may stand for."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

import httpx

from shared.errors import UsageError

__all__ = ["AddressRefused", "UserUrl", "is_public", "read_user_url"]

_HTTPS_PORT = 443
_PORTS = {"https": _HTTPS_PORT, "http": 80}
_LONGEST_NAME = 253

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
# Within that, what is no host on the internet, or carries an IPv4 address within itself (6to4, Teredo).
_SPECIAL_V6 = tuple(
    map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20"))
)
# Public in form alone: relays of 6to4, and what Azure and Oracle tell their machines.
_SPECIAL_V4 = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "168.63.129.16/32"))
)


class AddressRefused(UsageError):
    """We do not ask there, whatever it may hold."""

    code = "address_refused"


@dataclass(frozen=True, slots=True)
class UserUrl:
    """In parts, so that nobody reads it a second time and differently. `host` is ASCII."""

    scheme: str
    host: str
    port: int
    target: bytes
    is_allowed: bool  # by the operator, wherever it is

    @property
    def site(self) -> str:
        """What may be told and logged: the rest can hold secrets."""
        usual = _PORTS[self.scheme] == self.port
        return self.host if usual else f"{self.host}:{self.port}"


def read_user_url(text: str, *, allowed: Collection[str] = ()) -> UserUrl:
    """`allowed` are hosts, with or without a port, to which none of the limits apply: any port, plain
    HTTP, any address. Raises AddressRefused."""
    try:
        url = httpx.URL(text.strip())
        host = url.raw_host.decode("ascii").lower().rstrip(".")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise AddressRefused("this is no URL; write it like https://example.com/path") from error
    if url.scheme not in _PORTS or not host:
        raise AddressRefused("the URL must begin with https:// and name a host")
    if url.userinfo or "@" in re.split(r"[/?#]", text.partition("//")[2])[0]:
        raise AddressRefused("the URL must hold no user name and no password")
    port = url.port or _PORTS[url.scheme]
    is_allowed = host in allowed or f"{host}:{port}" in allowed
    if not is_allowed:
        _check(url.scheme, host, port)
    return UserUrl(url.scheme, host, port, url.raw_path or b"/", is_allowed)


def is_public(address: str) -> bool:
    """Whether it is that of a host on the internet, and of nothing nearer to us."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return (
            ip.is_global
            and not ip.is_multicast
            and not ip.is_reserved
            and not any(ip in n for n in _SPECIAL_V4)
        )
    return ip.scope_id is None and ip in _PUBLIC_V6 and not any(ip in net for net in _SPECIAL_V6)


def _check(scheme: str, host: str, port: int) -> None:
    if scheme != "https":
        raise AddressRefused("the URL must begin with https://")
    if port != _HTTPS_PORT:
        raise AddressRefused(f"the URL must leave out the port: only {_HTTPS_PORT} is asked")
    last = host.rpartition(".")[2]
    if ":" in host or last[:1].isdigit():
        raise AddressRefused("the URL must name its host, not give a number for it")
    if "." not in host or len(host) > _LONGEST_NAME:
        raise AddressRefused("the URL must name a host on the internet")
