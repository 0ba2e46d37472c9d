"""The outermost layer: which hosts we answer for, how much we read, and what every answer carries."""

import asyncio
from collections.abc import Collection, Mapping
from time import monotonic

from asgi_correlation_id import CorrelationIdMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.middleware.errors import answer_to, envelope
from shared.ids import new_id

__all__ = ["BodyLimit", "Cors", "HeadLimit", "HostCheck", "RequestIds", "SecurityHeaders"]

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST_ID = 128
_SLOWEST_BYTES_PER_S = 1024
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
_EXPOSED = (
    "Idempotent-Replayed",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
)
_TRANSPORT = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


class RequestIds(CorrelationIdMiddleware):
    """Takes a client's X-Request-ID if it is harmless, makes one otherwise, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            app,
            header_name="X-Request-ID",
            update_request_header=False,
            generator=new_id,
            validator=_is_harmless,
            transformer=str,
        )


class SecurityHeaders:
    def __init__(self, app: ASGIApp, *, over_tls: bool) -> None:
        self._app = app
        self._headers: Mapping[str, str] = {**_HEADERS, **(_TRANSPORT if over_tls else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Cors(CORSMiddleware):
    """Web pages of these origins may call us with a key, and see what our headers say."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=("Authorization", "Idempotency-Key", "Last-Event-ID", "X-Request-ID"),
            expose_headers=_EXPOSED,
        )


class HeadLimit:
    """Refuses a request whose headers are long beyond reason."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = sum(len(name) + len(value) for name, value in scope.get("headers", ()))
        if size <= self._limit:
            await self._app(scope, receive, send)
            return
        message = f"the headers are too large; at most {self._limit} bytes are read"
        await envelope(431, "headers_too_large", message, {"max_bytes": self._limit})(scope, receive, send)


class HostCheck:
    """Answers only for the hosts of the settings; `*` stands for all."""

    def __init__(self, app: ASGIApp, *, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._answers_for(Headers(scope=scope).get("host", "")):
            message = "this server does not answer for this host; set SAFELIGHT_ALLOWED_HOSTS if it should"
            await envelope(400, "unknown_host", message)(scope, receive, send)
        elif scope["type"] == "websocket" and not self._answers_for(Headers(scope=scope).get("host", "")):
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    def _answers_for(self, host: str) -> bool:
        name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return "*" in self._allowed or name.lower() in self._allowed


class BodyLimit:
    """Reads no more than `limit` bytes of a body; uploads have a limit of their own. A body that stops
    coming, or comes too slowly to be meant, is not waited for."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: int,
        uploads: tuple[tuple[str, str], ...],
        upload_limit: int,
        patience_s: float,
    ) -> None:
        self._app = app
        self._limit = limit
        self._uploads = uploads  # methods, and the places below which they send files
        self._upload_limit = upload_limit
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = any(
            scope["method"] == method and scope["path"].startswith(place) for method, place in self._uploads
        )
        limit = self._upload_limit if is_upload else self._limit
        if _declared_bytes(scope) > limit:
            message = f"the request is too large; at most {limit} bytes are read"
            await envelope(413, "too_large", message, {"max_bytes": limit})(scope, receive, send)
            return
        try:
            await self._app(scope, _Body(receive, limit, self._patience_s).receive, send)
        except HTTPException as error:  # by a layer that reads the body before the routes do
            await answer_to(error)(scope, receive, send)


class _Body:
    """The body of one request as it comes."""

    def __init__(self, receive: Receive, limit: int, patience_s: float) -> None:
        self._receive = receive
        self._limit = limit
        self._patience_s = patience_s
        self._received = 0
        self._begun = monotonic()
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        message = await self._next()
        self._received += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._received > self._limit:
            raise HTTPException(413)
        return message

    async def _next(self) -> Message:
        late_s = self._patience_s + self._received / _SLOWEST_BYTES_PER_S - (monotonic() - self._begun)
        try:
            async with asyncio.timeout(min(self._patience_s, late_s)):
                return await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, headers={"Connection": "close"}) from error


def _declared_bytes(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _is_harmless(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and set(text) <= _ID_CHARACTERS
