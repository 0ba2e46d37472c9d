"""The outermost layer: which hosts we answer for, how much we read, and what every answer carries."""

from collections.abc import Collection, Mapping

from asgi_correlation_id import CorrelationIdMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.middleware.errors import envelope
from shared.ids import new_id

__all__ = ["BodyLimit", "HostCheck", "RequestIds", "SecurityHeaders"]

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST_ID = 128
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
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
    """Reads no more than `limit` bytes of a body; uploads have a limit of their own."""

    def __init__(self, app: ASGIApp, *, limit: int, uploads: tuple[str, ...], upload_limit: int) -> None:
        self._app = app
        self._limit = limit
        self._uploads = uploads  # what is PUT below these
        self._upload_limit = upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = scope["method"] == "PUT" and scope["path"].startswith(self._uploads)
        limit = self._upload_limit if is_upload else self._limit
        if _declared_bytes(scope) > limit:
            message = f"the request is too large; at most {limit} bytes are read"
            await envelope(413, "too_large", message, {"max_bytes": limit})(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_limited, send)


def _declared_bytes(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _is_harmless(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and set(text) <= _ID_CHARACTERS
