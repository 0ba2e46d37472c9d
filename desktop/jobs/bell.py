"""What wakes the runner."""

import asyncio

__all__ = ["Bell"]


class Bell:
    """Rung when there may be work. `rescan` says that older jobs now belong to this process too."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._rescan = True

    def ring(self, *, rescan: bool = False) -> None:
        self._rescan = self._rescan or rescan
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return

    def answer(self) -> tuple[bool, bool]:
        """Whether it was rung, and whether all open jobs are to be looked at; both are reset."""
        answer = (self._rung.is_set(), self._rescan)
        self._rung.clear()
        self._rescan = False
        return answer
