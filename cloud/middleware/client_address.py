"""Whose request it is: behind proxies, the last address of X-Forwarded-For that is not one of theirs."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["ClientAddress", "client_of"]

_Network = IPv4Network | IPv6Network


class ClientAddress:
    """What comes from `trusted` addresses has the client that they name; `scope["client"]` says it."""

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str]) -> None:
        self._app = app
        self._trusted = tuple(ip_network(word, strict=False) for word in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._trusted and scope["type"] in {"http", "websocket"} and scope.get("client"):
            peer, port = scope["client"]
            forwarded = Headers(scope=scope).getlist("x-forwarded-for")
            client = client_of(peer, forwarded, self._trusted)
            scope = {**scope, "client": (client, port if client == peer else 0)}
        await self._app(scope, receive, send)


def client_of(peer: str, forwarded: Sequence[str], trusted: Sequence[_Network]) -> str:
    """Each proxy adds at the right whom it heard from, so what stands left of a stranger is hearsay."""
    client = peer
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _is_one_of(client, trusted):
        named = _address(hops.pop())
        if named is None:
            break
        client = str(named)
    return client


def _is_one_of(address: str, networks: Sequence[_Network]) -> bool:
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed
