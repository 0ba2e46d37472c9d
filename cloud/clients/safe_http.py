"""HTTP to URLs that users give: never to our own network, whatever a name stands for from one moment
to the next.

A name is resolved once per connection, all its addresses are checked, and the connection goes to one
of those; TLS then checks the name. No redirects, proxies, cookies or compressed bodies.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from socket import SOCK_STREAM
from typing import BinaryIO

import httpcore
import httpx

from cloud.clients.receiving import Received, receive
from cloud.clients.user_url import AddressRefused, UserUrl, is_public, read_user_url
from shared.errors import TransientError, UsageError

__all__ = ["Answer", "AnswerRefused", "Resolve", "SafeHttp", "SiteUnreachable", "system_resolve"]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_CONNECT_S = 10.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = timedelta(days=1)


class SiteUnreachable(TransientError):
    """No answer, or one that says that another time is better; `retry_after` is set if it says when."""

    code = "site_unreachable"

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AnswerRefused(UsageError):
    """What came is not what was asked for, and would not be another time."""

    code = "answer_refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after` is how long the server asks us to wait."""

    status: int
    retry_after: timedelta | None


class SafeHttp:
    """`resolve` tells the addresses of a name; `dial` then connects to one of them."""

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        resolve: Resolve | None = None,
        dial: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = frozenset(allowed_hosts)
        self._resolve = resolve or system_resolve
        self._dial = dial or httpcore.AnyIOBackend()
        self._tls = tls or httpx.create_ssl_context()

    def check(self, url: str) -> UserUrl:
        """What can be said of it without asking anybody. Raises AddressRefused."""
        return read_user_url(url, allowed=self._allowed)

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        """Its body is not read. Raises AddressRefused, SiteUnreachable."""
        async with self._asked("POST", self.check(url), headers, body, timeout_s) as response:
            return Answer(response.status, _retry_after(response.headers))

    async def fetch(self, url: str, file: BinaryIO, *, max_bytes: int, timeout_s: float) -> Received:
        """The body, written to `file`. Raises AddressRefused, AnswerRefused, SiteUnreachable."""
        asked = self.check(url)
        async with self._asked("GET", asked, {"Accept": "*/*"}, b"", timeout_s) as response:
            _require_whole(asked, response)
            _require_size(asked, _length(response.headers), max_bytes)
            return await _kept(asked, response, file, max_bytes)

    @asynccontextmanager
    async def _asked(
        self, method: str, url: UserUrl, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> AsyncIterator[httpcore.Response]:
        """A connection of its own, for so long at most."""
        dial = _CheckedDial(resolve=self._resolve, inner=self._dial, unchecked=url.is_allowed)
        full = {"User-Agent": "Safelight/1", "Accept-Encoding": "identity", "Connection": "close", **headers}
        where = httpcore.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target
        )
        try:
            async with (
                asyncio.timeout(timeout_s),
                httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=dial) as pool,
                pool.stream(
                    method,
                    where,
                    headers=[(name.encode(), value.encode()) for name, value in full.items()],
                    content=body or None,
                    extensions={"timeout": {"connect": _CONNECT_S, "read": timeout_s, "write": timeout_s}},
                ) as response,
            ):
                yield response
        except TimeoutError as error:
            raise SiteUnreachable(f"{url.site} was not done within {timeout_s:.0f} s") from error
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise SiteUnreachable(f"{url.site} {_trouble(error)}") from error


class _CheckedDial(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no name."""

    def __init__(self, *, resolve: Resolve, inner: httpcore.AsyncNetworkBackend, unchecked: bool) -> None:
        self._resolve = resolve
        self._inner = inner
        self._unchecked = unchecked

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        if not self._unchecked and not all(map(is_public, addresses)):
            raise AddressRefused(f"{host} is not on the public internet")
        last = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = httpcore.ConnectError(str(error))
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 - the signature is httpcore's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("sockets of this machine are not asked", path=path)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Raises httpcore.ConnectError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"{host} has no address") from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def _require_whole(url: UserUrl, response: httpcore.Response) -> None:
    status = response.status
    if status in _AGAIN:
        raise SiteUnreachable(f"{url.site} answered {status}", retry_after=_retry_after(response.headers))
    if 300 <= status < 400:
        raise AnswerRefused(f"{url.site} answered with a redirect, which is not followed; give the last URL")
    if status != 200:
        raise AnswerRefused(f"{url.site} answered {status}")
    if _header(response.headers, b"content-encoding") not in {"", "identity"}:
        raise AnswerRefused(f"{url.site} sent a compressed answer though none was asked for")


def _require_size(url: UserUrl, size: int | None, most: int) -> None:
    if size is not None and size > most:
        raise AnswerRefused(f"the file at {url.site} has more than the {most} bytes that are taken")


async def _kept(url: UserUrl, response: httpcore.Response, file: BinaryIO, most: int) -> Received:
    return await receive(
        response.aiter_stream(), file, require_size=lambda size: _require_size(url, size, most)
    )


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    found = (value for key, value in headers if key.lower() == name)
    return next(found, b"").decode("latin-1").strip().lower()


def _length(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    text = _header(headers, b"content-length")
    return int(text) if text.isascii() and text.isdigit() else None


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> timedelta | None:
    """In seconds or as a date; never longer than a day."""
    text = _header(headers, b"retry-after")
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(text).replace(tzinfo=UTC) - datetime.now(UTC)
    except (ValueError, TypeError):
        return None
    return max(timedelta(0), min(wait, _LONGEST_WAIT))


def _trouble(error: Exception) -> str:
    match error:
        case httpcore.ConnectError() if (
            isinstance(error.__context__, ssl.SSLError) or "certificate" in str(error).lower()
        ):
            return "has no certificate that can be trusted"
        case httpcore.ConnectError() | httpcore.ConnectTimeout():
            return "cannot be reached"
        case httpcore.TimeoutException():
            return "did not answer in time"
        case _:
            return "broke off its answer"
