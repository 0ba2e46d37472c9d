"""Runs take turns at few children and do not take more memory together than there is."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from shared.engines.builtin import worker
from shared.engines.builtin.pool import ProcessPool
from tests.support.engine_children import engine_children

GB = 1 << 30


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(size=2, memory_bytes=4 * GB)
    yield pool
    await pool.aclose()


async def hold(pool: ProcessPool, needs: int, log: list[str], name: str, release: asyncio.Event) -> None:
    async with pool.worker(needs):
        log.append(name)
        await release.wait()


async def settled(log: list[str], count: int) -> None:
    async with asyncio.timeout(60):
        while len(log) < count:  # noqa: ASYNC110 - children say nothing else
            await asyncio.sleep(0.01)


async def test_no_more_at_a_time_than_children(pool: ProcessPool) -> None:
    log: list[str] = []
    release = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(hold(pool, GB, log, name, release))
        await settled(log, 2)
        await asyncio.sleep(0)
        assert sorted(log) == ["a", "b"], "either child may be up first"
        release.set()

    assert log[2:] == ["c"]


async def test_large_runs_wait_for_memory_and_keep_their_place(pool: ProcessPool) -> None:
    log: list[str] = []
    first, rest = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(pool, 3 * GB, log, "large", first))
        await settled(log, 1)
        tasks.create_task(hold(pool, 2 * GB, log, "larger than what is left", rest))
        tasks.create_task(hold(pool, GB, log, "small but later", rest))
        await asyncio.sleep(0.05)
        assert log == ["large"]
        first.set()
        await settled(log, 3)
        rest.set()

    assert log == ["large", "larger than what is left", "small but later"]


async def test_run_larger_than_all_memory_runs_alone(pool: ProcessPool) -> None:
    async with pool.worker(100 * GB) as worker:
        assert worker.is_usable


async def test_waiting_run_can_be_called_off(pool: ProcessPool) -> None:
    log: list[str] = []
    release = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(pool, 4 * GB, log, "first", release))
        waiting = tasks.create_task(hold(pool, GB, log, "called off", release))
        tasks.create_task(hold(pool, GB, log, "last", release))
        await settled(log, 1)
        waiting.cancel()
        release.set()

    assert log == ["first", "last"]


async def test_child_that_does_not_begin_in_time_is_begun_with_the_first_run(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has too much to do: nothing ends because of that."""
    with monkeypatch.context() as slow:
        slow.setattr(worker, "_START_BOUND_S", 0.0)
        await pool.prestart()
    assert engine_children(os.getpid()) == []
    async with pool.worker(GB) as child:
        assert child.is_usable


async def test_closing_leaves_no_child(pool: ProcessPool) -> None:
    await pool.prestart()
    children = engine_children(os.getpid())
    assert children
    await pool.aclose()

    assert not any(child.is_running() for child in children)
