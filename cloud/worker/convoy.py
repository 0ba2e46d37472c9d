"""What several tasks ask for at the same time, done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cloud.errors import DatabaseBusy, DatabaseUnavailable

__all__ = ["Convoy"]

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

_LONGEST = 100


@dataclass(frozen=True, slots=True)
class _Place(Generic[_Item, _Answer]):
    item: _Item
    answer: asyncio.Future[_Answer]


class Convoy(Generic[_Item, _Answer]):
    """What comes while others are served goes together next: nobody waits for company.

    `serve` does all or nothing. Where it fails, each is served alone, so that none fails for another,
    unless the database could not be used at all.
    """

    def __init__(self, serve: Callable[[Sequence[_Item]], Awaitable[_Answer]]) -> None:
        self._serve = serve
        self._waiting: list[_Place[_Item, _Answer]] = []
        self._some = asyncio.Event()

    async def join(self, item: _Item) -> _Answer:
        """The answer to all that went together. Whoever is cancelled before it leaves is not served."""
        place: _Place[_Item, _Answer] = _Place(item, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        self._some.set()
        return await place.answer

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(0)  # for those that are as far
            self._some.clear()
            waiting, self._waiting = self._waiting, []
            for begin in range(0, len(waiting), _LONGEST):
                places = [place for place in waiting[begin : begin + _LONGEST] if not place.answer.done()]
                if places:
                    await self._go(places)

    async def _go(self, places: Sequence[_Place[_Item, _Answer]]) -> None:
        try:
            answer = await self._serve([place.item for place in places])
        except Exception as error:  # noqa: BLE001 - handed to the tasks that wait for it
            if len(places) > 1 and not isinstance(error, DatabaseBusy | DatabaseUnavailable):
                for place in places:
                    await self._go([place])
                return
            for place in places:
                if not place.answer.done():
                    place.answer.set_exception(error)
            return
        for place in places:
            if not place.answer.done():
                place.answer.set_result(answer)
