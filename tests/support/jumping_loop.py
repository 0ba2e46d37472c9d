"""An event loop whose clock jumps to the next thing that is due: hours pass at once, and none too many.

Only for what waits for the clock alone; a thread or a socket would be waited for in no time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_without_waiting"]

_T = TypeVar("_T")


def run_without_waiting(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(work)


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.passed_s += max(0.0, timeout)
        return list(ready)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed_s
