"""What a seat can run: asked of its engine now and then, and told to everybody."""

import asyncio
from time import monotonic

import structlog

from cloud.services.waiting import SEAT_SEEN_EVERY, Waiting
from cloud.worker.seat import Seat
from shared.engines.base import Capabilities, EngineUnavailable
from shared.errors import TransientError

__all__ = ["SeatWatch"]

_log = structlog.get_logger(__name__)

_EVERY_S = SEAT_SEEN_EVERY.total_seconds()
_NEVER = float("-inf")


class SeatWatch:
    def __init__(self, *, worker: str, seat: Seat, waiting: Waiting) -> None:
        self._worker = worker
        self._seat = seat
        self._waiting = waiting
        self._capabilities: Capabilities | None = None
        self._told: Capabilities | None = None
        self._told_at = _NEVER
        self._asking = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled: a seat that is busy is still there."""
        while True:
            try:
                await self.ask()
            except TransientError as error:
                _log.warning("seat_not_told", seat=self._seat.name, error=error.code)
            await asyncio.sleep(_EVERY_S)

    async def capabilities(self) -> Capabilities:
        """As last heard. Raises EngineUnavailable while the engine does not answer."""
        return self._capabilities or await self.ask()

    def doubt(self) -> None:
        """The engine did not answer: ask before relying on it."""
        self._capabilities = None

    async def ask(self) -> Capabilities:
        """Raises EngineUnavailable, and the database's troubles."""
        async with self._asking:
            try:
                self._capabilities = await self._seat.engine.capabilities()
            except EngineUnavailable:
                self._capabilities = None
                await self._tell()
                raise
            await self._tell()
            return self._capabilities

    async def _tell(self) -> None:
        """That nothing is known is said once, and then as often as the rest."""
        still_away = self._capabilities is None and self._told is None
        if still_away and monotonic() - self._told_at < _EVERY_S:
            return
        await self._waiting.see_seat(self._worker, self._seat.name, self._seat.pools, self._capabilities)
        self._told, self._told_at = self._capabilities, monotonic()
