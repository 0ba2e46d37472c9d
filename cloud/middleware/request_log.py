"""One log event for each request, by the template of its route: addresses may hold signed tokens."""

from time import perf_counter

import structlog
from asgi_correlation_id import correlation_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestLog"]

_log = structlog.get_logger(__name__)
_QUIET = frozenset({"/health", "/ready"})


class RequestLog:
    """Whatever is logged on the way bears the request's id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=correlation_id.get()):
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                _note(scope, status, perf_counter() - begun)


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None)
    if route in _QUIET:
        return
    _log.info(
        "request",
        method=scope.get("method", "WEBSOCKET"),
        route=route or "none",
        status=status,
        ms=round(seconds * 1000, 1),
    )
