"""How many streams an account may have open at once with this process."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from cloud.errors import TooManyRequests

__all__ = ["StreamDoor"]

_COME_BACK_S = 10


class StreamDoor:
    def __init__(self, *, per_account: int) -> None:
        self._per_account = per_account
        self._open: Counter[str] = Counter()
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
