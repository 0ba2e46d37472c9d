"""What the streams of this process have in common: how many there may be, and whether their keys hold."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from time import monotonic
from typing import Any

from cloud.errors import TooManyRequests

__all__ = ["StreamDoor"]

_COME_BACK_S = 10


class StreamDoor:
    def __init__(self, *, per_account: int) -> None:
        self._per_account = per_account
        self._open: Counter[str] = Counter()
        self._asked: dict[str, tuple[float, asyncio.Task[bool]]] = {}
        self.is_closing = False  # streams end, so that the process can

    @property
    def open(self) -> int:
        """Of all accounts."""
        return self._open.total()

    def check(self, account_id: str) -> None:
        """Raises TooManyRequests if the account has all that it may have."""
        if self._open[account_id] >= self._per_account:
            raise TooManyRequests(
                f"the account has {self._per_account} streams open, which is the limit; close some first",
                limit=self._per_account,
                retry_after_s=_COME_BACK_S,
            )

    async def is_usable(
        self, key_id: str, ask: Callable[[], Coroutine[Any, Any, bool]], *, fresh_s: float
    ) -> bool:
        """Asked once for all streams of a key, unless that was longer ago than this."""
        asked_at, answer = self._asked.get(key_id, (0.0, None))
        if answer is None or monotonic() - asked_at >= fresh_s:
            answer = asyncio.create_task(ask(), name="key-check")
            self._asked[key_id] = (monotonic(), answer)
        return await asyncio.shield(answer)

    @contextlib.contextmanager
    def held_open(self, account_id: str) -> Iterator[None]:
        self._open[account_id] += 1
        try:
            yield
        finally:
            self._open[account_id] -= 1
            if not self._open[account_id]:
                del self._open[account_id]
            if not self._open:
                self._asked.clear()
