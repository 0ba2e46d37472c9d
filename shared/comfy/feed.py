"""The messages of one prompt, between the task that reads the socket and the one that follows."""

import asyncio
import contextlib
from collections.abc import Iterable

from shared.comfy.messages import (
    NodeStarted,
    PreviewFrame,
    PromptOver,
    RunMessage,
    StepProgress,
    TreeProgress,
)

__all__ = ["Feed"]

_MAX_LASTING = 20_000


class Feed:
    """Never full and never waited for: of passing messages only the newest of each kind is kept.

    A follower that sleeps for minutes finds what matters, in order, and not a pile of previews.
    """

    def __init__(self) -> None:
        self._messages: dict[object, RunMessage] = {}
        self._arrived = asyncio.Event()
        self._count = 0

    def put(self, message: RunMessage) -> None:
        if isinstance(message, StepProgress | TreeProgress | PreviewFrame):
            self._messages.pop(type(message), None)
            self._messages[type(message)] = message
        elif len(self._messages) < _MAX_LASTING or not isinstance(message, NodeStarted):
            self._count += 1
            self._messages[self._count] = message
        self._arrived.set()

    def wake(self) -> None:
        """Make the follower look at the server, because messages may have been missed."""
        self._arrived.set()

    async def take(self, timeout_s: float) -> Iterable[RunMessage] | None:
        """What arrived since the last call, perhaps nothing after a wake; None when time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return None
        self._arrived.clear()
        messages, self._messages = self._messages, {}
        return messages.values()

    async def wait_for_end(self, timeout_s: float) -> None:
        """Until the prompt is said to be over, or time is up."""
        over = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not over:
                    over = any(
                        isinstance(message, PromptOver) for message in await self.take(timeout_s) or ()
                    )
