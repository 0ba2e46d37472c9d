"""One log event for each request, by the template of its route: addresses may hold signed tokens."""

from time import perf_counter

import structlog
from asgi_correlation_id import correlation_id
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.clients.metrics import Metrics
from cloud.clients.telemetry import span
from cloud.services.links import API

__all__ = ["RequestLog"]

_log = structlog.get_logger(__name__)
_QUIET = frozenset({"/health", "/ready", "/metrics"})
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "WEBSOCKET"})
_TOO_MANY = 429


class RequestLog:
    """Whatever is logged on the way bears the request's id."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        begun, status, streamed = perf_counter(), 0, False

        async def send_and_note(message: Message) -> None:
            nonlocal status, streamed
            status = message.get("status", status)
            streamed = streamed or message["type"] == "websocket.accept" or _is_event_stream(message)
            await send(message)

        parent = Headers(scope=scope).get("traceparent")
        with (
            structlog.contextvars.bound_contextvars(request_id=correlation_id.get()),
            span("request", parent=parent, serves=True) as opened,
        ):
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                opened.update_name(f"{_method(scope)} {_template(scope)}")
                opened.set_attribute("http.response.status_code", status)
                self._note(scope, status, perf_counter() - begun, streamed=streamed)

    def _note(self, scope: Scope, status: int, seconds: float, *, streamed: bool) -> None:
        route = _template(scope)
        if route in _QUIET:
            return
        method = _method(scope)
        self._metrics.request_answered(
            method=method,
            route=route,
            status=status,
            seconds=None if streamed else seconds,
        )
        if status == _TOO_MANY:
            self._metrics.rate_limited()
        _log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _method(scope: Scope) -> str:
    method = scope.get("method", "WEBSOCKET")
    return method if method in _METHODS else "OTHER"


def _template(scope: Scope) -> str:
    route = getattr(scope.get("route"), "path", None)
    if route is None:
        return "none"
    path: str = scope["path"]
    return f"{API}{route}" if path.startswith(API) and not route.startswith(API) else str(route)


def _is_event_stream(message: Message) -> bool:
    if message["type"] != "http.response.start":
        return False
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )
