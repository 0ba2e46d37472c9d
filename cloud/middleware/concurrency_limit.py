"""How many requests are worked on at once; what would wait for long is told at once to come back.

Without a bound, a process that is offered more than it can do makes everybody wait longer and longer,
and answers in the end to clients that have given up.
"""

import asyncio
import contextlib
import random
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.middleware.errors import envelope

__all__ = ["ConcurrencyLimit"]

_MOST_RETRY_AFTER_S = 3  # spread, so that those who were refused do not all come back together


class ConcurrencyLimit:
    """`at_once` requests are worked on, `waiting` more may wait for `wait_s`; 503 with Retry-After for
    others. A place is taken once the body is there, so that slow clients hold none. Streams,
    transfers of bytes, and what is asked below the `exempt` paths take no place."""

    def __init__(
        self, app: ASGIApp, *, at_once: int, waiting: int, wait_s: float, exempt: tuple[str, ...]
    ) -> None:
        self._app = app
        self._free = at_once
        self._waiting = waiting
        self._wait_s = wait_s
        self._exempt = exempt
        self._queue: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_exempt(scope):
            await self._app(scope, receive, send)
        elif self._is_full:
            await self._refuse(scope, receive, send)
        else:
            await self._admit(scope, await _whole(scope, receive), send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_full or not await self._has_place():
            await self._refuse(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._leave()

    @property
    def _is_full(self) -> bool:
        return self._free == 0 and len(self._queue) >= self._waiting

    async def _has_place(self) -> bool:
        """In the order in which they came."""
        if self._free:
            self._free -= 1
            return True
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            async with asyncio.timeout(self._wait_s):
                await place
        except TimeoutError:
            return self._was_given(place)
        except asyncio.CancelledError:
            if self._was_given(place):
                self._leave()
            raise
        return True

    def _was_given(self, place: asyncio.Future[None]) -> bool:
        """Just when the wait for it was over."""
        with contextlib.suppress(ValueError):
            self._queue.remove(place)
        return not place.cancelled()

    def _leave(self) -> None:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _is_exempt(self, scope: Scope) -> bool:
        """Bytes are PUT, or fetched at the places that were named."""
        path: str = scope["path"]
        return scope["method"] == "PUT" or path.startswith(self._exempt) or path.endswith("/events")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        after_s = random.randint(1, _MOST_RETRY_AFTER_S)
        message = f"the server has more to do than it can; try again in {after_s} s"
        answer = envelope(503, "overloaded", message, headers={"Retry-After": str(after_s)})
        await answer(scope, receive, send)


async def _whole(scope: Scope, receive: Receive) -> Receive:
    """The same request with its body at hand; the layers before this one keep it small."""
    if not any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]):
        return receive
    messages: deque[Message] = deque()
    more = True
    while more:
        messages.append(await receive())
        more = messages[-1].get("more_body", False)

    async def replayed() -> Message:
        return messages.popleft() if messages else await receive()

    return replayed
