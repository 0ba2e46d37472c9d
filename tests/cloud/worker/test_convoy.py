"""What goes together, and that none pays for another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from cloud.errors import DatabaseUnavailable
from cloud.worker.convoy import Convoy
from shared.errors import UsageError


@dataclass
class _Ferry:
    """Takes them over when the test lets it; `broken` ones sink what they are with."""

    broken: frozenset[str] = frozenset()
    away: bool = False
    trips: list[list[str]] = field(default_factory=list)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    boarded: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, items: Sequence[str]) -> frozenset[str]:
        self.trips.append(list(items))
        self.boarded.set()
        await self.leave.wait()
        if self.away:
            raise DatabaseUnavailable("away")
        if self.broken.intersection(items):
            raise UsageError("broken")
        return frozenset(items)


@contextlib.asynccontextmanager
async def _under_way(ferry: _Ferry) -> AsyncIterator[Convoy[str, frozenset[str]]]:
    convoy = Convoy[str, frozenset[str]](ferry.take)
    task = asyncio.create_task(convoy.run())
    yield convoy
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _all_joined(convoy: Convoy[str, frozenset[str]], ferry: _Ferry, *more: str) -> list[object]:
    """The first leaves alone; the others come while it is under way."""
    first = asyncio.create_task(convoy.join("first"))
    await ferry.boarded.wait()
    others = [asyncio.create_task(convoy.join(name)) for name in more]
    await asyncio.sleep(0)
    ferry.leave.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


async def test_what_comes_while_others_are_served_goes_together() -> None:
    ferry = _Ferry()
    async with _under_way(ferry) as convoy:
        answers = await _all_joined(convoy, ferry, "a", "b", "c")
    assert ferry.trips == [["first"], ["a", "b", "c"]]
    assert answers == [{"first"}, *[{"a", "b", "c"}] * 3]


async def test_none_fails_for_another() -> None:
    ferry = _Ferry(broken=frozenset({"b"}))
    async with _under_way(ferry) as convoy:
        _, a, b, c = await _all_joined(convoy, ferry, "a", "b", "c")
    assert (a, c) == ({"a"}, {"c"})
    assert isinstance(b, UsageError)


async def test_a_database_that_is_away_is_asked_once_for_all() -> None:
    ferry = _Ferry(away=True)
    async with _under_way(ferry) as convoy:
        answers = await _all_joined(convoy, ferry, "a", "b", "c")
    assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
    assert len(ferry.trips) == 2


async def test_who_is_cancelled_before_it_leaves_stays_behind() -> None:
    ferry = _Ferry()
    async with _under_way(ferry) as convoy:
        first = asyncio.create_task(convoy.join("first"))
        await ferry.boarded.wait()
        gone, stays = (asyncio.create_task(convoy.join(name)) for name in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        ferry.leave.set()
        assert await stays == {"stays"}
        await first
    assert ferry.trips == [["first"], ["stays"]]
