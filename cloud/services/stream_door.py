"""What the streams of this process have in common: how many there may be, and what each would ask."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from time import monotonic
from typing import Any, Generic, TypeVar

from cloud.errors import TooManyRequests

__all__ = ["SharedAnswers", "StreamDoor"]

_COME_BACK_S = 10
_A = TypeVar("_A")


class StreamDoor:
    def __init__(self, *, per_account: int) -> None:
        self._per_account = per_account
        self._open: Counter[str] = Counter()
        self.usable_keys: SharedAnswers[bool] = SharedAnswers()
        self.last_numbers: SharedAnswers[int] = SharedAnswers()  # of the events of accounts
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
                self.usable_keys.forget()
                self.last_numbers.forget()


class SharedAnswers(Generic[_A]):
    """A thousand streams do not ask the same a thousand times."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[float, asyncio.Task[_A]]] = {}

    async def get(self, about: str, ask: Callable[[], Coroutine[Any, Any, _A]], *, fresh_s: float) -> _A:
        """Asked again if the last time was longer ago than this, or failed."""
        asked_at, answer = self._asked.get(about, (0.0, None))
        if answer is None or monotonic() - asked_at >= fresh_s or _has_failed(answer):
            answer = asyncio.create_task(ask(), name="shared-answer")
            self._asked[about] = (monotonic(), answer)
        return await asyncio.shield(answer)

    def forget(self) -> None:
        self._asked.clear()


def _has_failed(answer: asyncio.Task[Any]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)
