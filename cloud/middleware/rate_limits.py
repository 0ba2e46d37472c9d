"""Not more requests than an address may send, and what every answer says of what is left."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.clients.rate_counter import WINDOW_S, RateCounter, Taken
from cloud.errors import TooManyRequests
from cloud.middleware.errors import answer_to
from cloud.services.admission import check, neighbourhood

__all__ = ["ALLOWANCE", "AddressLimit"]

ALLOWANCE = "allowance"
"""Under this name a request's state has what is left to its caller, once that is known."""

_UNCOUNTED = frozenset({"/health", "/ready", "/metrics"})


class AddressLimit:
    """Counted by each process for itself: a flood ends where it arrives, at no cost to others."""

    def __init__(self, app: ASGIApp, *, counter: RateCounter, per_minute: int) -> None:
        self._app = app
        self._counter = counter
        self._per_minute = per_minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        address = neighbourhood(scope["client"][0] if scope.get("client") else "")
        left = await self._counter.take(f"address:{address}", self._per_minute)
        scope.setdefault("state", {})[ALLOWANCE] = left
        sending = _told(scope, send)
        try:
            check(left, "one address")
        except TooManyRequests as error:
            await answer_to(error)(scope, receive, sending)
            return
        await self._app(scope, receive, sending)


def _told(scope: Scope, send: Send) -> Send:
    async def send_with_allowance(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            _add(MutableHeaders(scope=message), scope["state"][ALLOWANCE])
        await send(message)

    return send_with_allowance


def _add(headers: MutableHeaders, left: Taken) -> None:
    """As draft-ietf-httpapi-ratelimit-headers has them."""
    headers["RateLimit-Policy"] = f'"minute";q={left.limit};w={WINDOW_S}'
    headers["RateLimit"] = f'"minute";r={left.remaining};t={left.reset_s}'
