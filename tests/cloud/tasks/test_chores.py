import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from cloud.tasks.arq_worker import run_on_arq
from cloud.tasks.chore import Chore
from cloud.tasks.timers import run_on_timers
from tests.support.redis import RedisServer


class _Count:
    def __init__(self, *, fails: bool = False) -> None:
        self.turns = 0
        self.fails = fails
        self._turned = asyncio.Event()

    async def run(self) -> int:
        self.turns += 1
        self._turned.set()
        if self.fails:
            raise ValueError("this chore is broken")
        return 1

    async def more(self, turns: int) -> None:
        until = self.turns + turns
        async with asyncio.timeout(60):
            while self.turns < until:
                self._turned.clear()
                await self._turned.wait()


@contextlib.asynccontextmanager
async def _running(*begun: Callable[[], object]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(start()) for start in begun]  # type: ignore[call-overload]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_timers_run_every_chore_though_one_is_broken() -> None:
    broken, sound = _Count(fails=True), _Count()
    chores = [Chore("broken", 1, broken.run), Chore("sound", 1, sound.run)]
    async with _running(lambda: run_on_timers(chores)):
        await asyncio.gather(broken.more(2), sound.more(2))


async def test_arq_gives_each_turn_to_one_process_and_survives_redis(redis_server: RedisServer) -> None:
    one, other, broken = _Count(), _Count(), _Count(fails=True)

    def worker(count: _Count) -> object:
        chores = [Chore("shared", 1, count.run), Chore("broken", 1, broken.run)]
        return run_on_arq(chores, redis_url=redis_server.url)

    clock = asyncio.get_running_loop().time
    async with _running(lambda: worker(one), lambda: worker(other)):
        begun = clock()
        while one.turns + other.turns < 3:
            await asyncio.wait(
                [asyncio.create_task(one.more(1)), asyncio.create_task(other.more(1))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        assert one.turns + other.turns <= clock() - begun + 1
        if broken.turns < 2:
            await broken.more(2 - broken.turns)
        redis_server.restart()
        await asyncio.wait(
            [asyncio.create_task(one.more(1)), asyncio.create_task(other.more(1))],
            return_when=asyncio.FIRST_COMPLETED,
        )
