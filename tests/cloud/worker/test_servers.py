"""Two GPU servers: what one cannot do the other does, and each is spared while it fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from cloud.clients.queue import Bell
from cloud.clients.restart_hook import RestartHook
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from cloud.services.callers import COMMAND_LINE
from cloud.tables.job import JOBS
from cloud.tables.server import SERVERS, WORKERS
from shared.api.servers import BreakerState, ServerState
from shared.engines.builtin.pool import ProcessPool
from shared.jobs.state import JobState
from tests.cloud.worker.shop import Shop
from tests.support.comfy_server import ComfyServer, comfy_server

MODEL = "random_sd15_fp16.safetensors"
FEW = {"model": MODEL, "steps": 3}
OUT_OF_MEMORY = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory.")


@pytest.fixture
async def one() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def two() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with contextlib.aclosing(ProcessPool(size=1)) as pool:
        shop = Shop(database, tmp_path, AttemptRules(), pool, preset_id="portrait-pro", lane_pool="comfy")
        await shop.open()
        yield shop


@pytest.fixture
async def servers(shop: Shop, one: ComfyServer, two: ComfyServer) -> None:
    await shop.register(one.url, "one")
    await shop.register(two.url, "two")


async def _until(reached: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await reached():  # noqa: ASYNC110 - rows have no event
            await asyncio.sleep(0.01)


def _is_there(path: Path) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await asyncio.to_thread(path.exists)

    return look


async def _server_of(shop: Shop, job_id: str) -> str | None:
    def ask(unit: Unit) -> str | None:
        [row] = unit.connection.exec_driver_sql(f"SELECT server FROM jobs WHERE id = '{job_id}'").all()  # noqa: S608
        return row.server

    return await shop.database.read(ask)


async def _attempts(shop: Shop, job_id: str) -> list[tuple[str | None, str | None, str | None]]:
    """Server, end and reason of each."""

    def ask(unit: Unit) -> list[tuple[str | None, str | None, str | None]]:
        rows = unit.connection.exec_driver_sql(
            f"SELECT server, \"end\", reason FROM attempts WHERE job_id = '{job_id}' ORDER BY attempt"  # noqa: S608
        )
        return [(row.server, row.end, row.reason) for row in rows]

    return await shop.database.read(ask)


async def _both_run(shop: Shop, jobs: list[str]) -> bool:
    """Each server has begun one of them."""
    running = [job for job in jobs if (await shop.job(job)).started_at is not None]
    return {await _server_of(shop, job) for job in running} == {"one", "two"}


@pytest.mark.usefixtures("servers")
async def test_two_servers_share_the_work(shop: Shop, one: ComfyServer, two: ComfyServer) -> None:
    one.execution.held = two.execution.held = True
    jobs = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(6)]
    async with shop.worker():
        await _until(lambda: _sent(one, 2))
        await _until(lambda: _sent(two, 2))
        one.execution.held = two.execution.held = False
        ended = [await shop.end_of(job) for job in jobs]
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert min(len(one.begun), len(two.begun)) >= 1
    tries = [end for job in jobs for _, end, _ in await _attempts(shop, job)]
    assert set(tries) <= {"released", "completed"}


@pytest.mark.usefixtures("servers")
async def test_a_server_that_dies_gives_its_jobs_to_the_other(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    one.execution.held = two.execution.held = True
    jobs = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(5)]
    async with shop.worker():
        await _until(lambda: _both_run(shop, jobs))
        await one.stop()
        two.execution.held = False
        ended = [await shop.end_of(job) for job in jobs]
        await shop.until_server("one", lambda server: server.breaker.state is not BreakerState.CLOSED)
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert len(two.begun) == 5
    assert [len(job.outputs) for job in ended] == [1] * 5
    for job in jobs:
        assert (await shop.events(job)).count("completed") == 1
    await one.start()


@pytest.mark.usefixtures("servers")
async def test_the_breaker_lets_one_job_try_when_the_server_is_back(shop: Shop, one: ComfyServer) -> None:
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DRAINING)
    async with shop.worker():
        await shop.until_server("one", lambda server: server.seen_at is not None)
        await one.stop()
        await shop.until_server("one", lambda server: server.breaker.state is BreakerState.OPEN)
        await one.start()
        half = await shop.until_server("one", lambda it: it.breaker.state is BreakerState.HALF_OPEN)
        assert half.breaker.trouble
        assert (await shop.end_of(await shop.submit(values=FEW))).state is JobState.COMPLETED
        closed = await shop.until_server("one", lambda it: it.breaker.state is BreakerState.CLOSED)
    assert closed.breaker.trouble is None


@pytest.mark.usefixtures("servers")
async def test_what_waits_behind_a_running_job_goes_to_a_server_that_becomes_free(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    """Both come to `one` while `two` is drained; then `two` asks for the one that waits."""
    one.execution.held = two.execution.held = True
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DRAINING)
    async with shop.worker():
        first = await shop.submit(values=FEW | {"seed": 1})
        await shop.until_running(first)  # of two that are prepared at once, either may be sent first
        second = await shop.submit(values=FEW | {"seed": 2})
        await _until(lambda: _sent(one, 2))
        await shop.servers.set_state(COMMAND_LINE, "two", ServerState.ACTIVE)
        await _until(lambda: _is_at(shop, second, "two"))
        await shop.until_running(second)
        assert (await shop.job(first)).state is JobState.PROCESSING, "they run side by side"
        one.execution.held = two.execution.held = False
        ended = [await shop.end_of(job) for job in (first, second)]
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert [len(one.begun), len(two.begun)] == [1, 1]
    assert [end for _, end, _ in await _attempts(shop, second)] == ["released", "completed"]


async def _sent(server: ComfyServer, count: int) -> bool:
    return server.count("POST", "/prompt") >= count


async def _is_at(shop: Shop, job_id: str, server: str) -> bool:
    return await _server_of(shop, job_id) == server


@pytest.mark.usefixtures("servers")
async def test_nothing_is_sent_to_wait_while_another_server_is_idle(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    async with shop.worker():
        await _one_job_each(shop, one, two, first_seed=0)
        jobs = await _one_job_each(shop, one, two, first_seed=2)
        ends = [await _attempts(shop, job) for job in jobs]
    assert [len(attempts) for attempts in ends] == [1, 1]
    assert [len(one.begun), len(two.begun)] == [2, 2]


async def _one_job_each(shop: Shop, one: ComfyServer, two: ComfyServer, *, first_seed: int) -> list[str]:
    """Both have ended, and ran side by side."""
    one.execution.held = two.execution.held = True
    jobs = [await shop.submit(values=FEW | {"seed": first_seed + number}) for number in range(2)]
    await _until(lambda: _both_run(shop, jobs))
    one.execution.held = two.execution.held = False
    for job in jobs:
        await shop.end_of(job)
    return jobs


@pytest.mark.usefixtures("servers")
async def test_a_job_that_ran_out_of_memory_is_tried_once_elsewhere(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    one.faults.fail_with = OUT_OF_MEMORY
    two.execution.held = True
    async with shop.worker():
        sent = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(4)]
        await _until(lambda: _freed(one))
        two.execution.held = False
        jobs = [await shop.end_of(job) for job in sent]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    tries = [await _attempts(shop, job) for job in sent]
    assert all(sum(end == "broken_off" for _, end, _ in attempts) <= 1 for attempts in tries)
    assert len(two.begun) >= 4


async def _freed(server: ComfyServer) -> bool:
    return server.count("POST", "/free") >= 1


@pytest.mark.usefixtures("servers")
async def test_a_job_that_runs_out_of_memory_everywhere_fails_with_a_plain_sentence(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    one.faults.fail_with = two.faults.fail_with = OUT_OF_MEMORY
    async with shop.worker():
        job_id = await shop.submit(values=FEW)
        job = await shop.end_of(job_id)
    assert (job.state, job.failure_code, job.attempt) == (JobState.FAILED, "out_of_memory", 2)
    assert "try a smaller picture" in (job.failure_message or "")
    assert {server for server, _, _ in await _attempts(shop, job_id)} == {"one", "two"}


@pytest.mark.usefixtures("servers")
async def test_a_run_that_will_not_stop_marks_its_server_and_is_retried_elsewhere(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    """Its time is up, the interrupt does nothing, and HTTP answers all the while."""
    one.execution.held, one.faults.lose_interrupts = True, 10_000
    shop.presets["portrait-pro"] = _with_limit(shop, 2.0)
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DRAINING)
    restart = RestartHook(f"touch {shop.folder / 'restarted'}")
    async with shop.worker(hang_s=0.5, restart=restart):
        job_id = await shop.submit(values=FEW)
        await shop.until_running(job_id)
        shop.presets["portrait-pro"] = _with_limit(shop, 60)
        await shop.servers.set_state(COMMAND_LINE, "two", ServerState.ACTIVE)
        job = await shop.end_of(job_id)
        hung = await shop.until_server("one", lambda it: it.breaker.state is not BreakerState.CLOSED)
        await _until(_is_there(shop.folder / "restarted"))
    assert job.state is JobState.COMPLETED
    assert [item[:2] for item in await _attempts(shop, job_id)] == [
        ("one", "broken_off"),
        ("two", "completed"),
    ]
    assert "did not stop" in (hung.breaker.trouble or "") or "still runs" in (hung.breaker.trouble or "")
    assert len(two.begun) == 1


async def test_a_server_that_lost_what_was_sent_to_it_is_sent_it_again(shop: Shop, one: ComfyServer) -> None:
    """As after a restart with an empty folder: nothing is held against it."""
    await shop.register(one.url, "one")
    async with shop.worker():
        await shop.end_of(await shop.submit(values=FEW))
        for place in [place for place in one.execution.files if place[0] == "input"]:
            del one.execution.files[place]
        job_id = await shop.submit(values=FEW | {"steps": 4})
        job = await shop.end_of(job_id)
        server = await shop.server("one")
    assert job.state is JobState.COMPLETED
    assert [item[:2] for item in await _attempts(shop, job_id)] == [
        ("one", "broken_off"),
        ("one", "completed"),
    ]
    assert (server.breaker.state, server.breaker.failures) == (BreakerState.CLOSED, 0)


@pytest.mark.usefixtures("servers")
async def test_a_run_whose_time_is_up_is_stopped_and_the_job_fails(shop: Shop, one: ComfyServer) -> None:
    one.execution.held = True
    shop.presets["portrait-pro"] = _with_limit(shop, 0.5)
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DRAINING)
    async with shop.worker():
        job = await shop.end_of(await shop.submit(values=FEW))
        one.execution.held = False
        shop.presets["portrait-pro"] = _with_limit(shop, 60)
        after = await shop.end_of(await shop.submit(values=FEW | {"seed": 1}))
        server = await shop.server("one")
    assert (job.state, job.failure_code, job.attempt) == (JobState.FAILED, "timed_out", 1)
    assert job.failure_retryable
    assert after.state is JobState.COMPLETED
    assert server.breaker.state is BreakerState.CLOSED
    assert len(one.begun) == 2


def _with_limit(shop: Shop, seconds: float):  # type: ignore[no-untyped-def]
    return replace(shop.preset, manifest=replace(shop.preset.manifest, timeout_s=seconds))


@pytest.mark.usefixtures("servers")
async def test_a_drained_server_ends_what_it_has_and_gets_nothing_new(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    one.execution.held = two.execution.held = True
    jobs = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(2)]
    async with shop.worker():
        await _until(lambda: _both_run(shop, jobs))
        await shop.servers.set_state(COMMAND_LINE, "one", ServerState.DRAINING)
        later = [await shop.submit(values=FEW | {"seed": 10 + seed}) for seed in range(2)]
        one.execution.held = two.execution.held = False
        ended = [await shop.end_of(job) for job in (*jobs, *later)]
    assert {(job.state, job.attempt) for job in ended[:2]} == {(JobState.COMPLETED, 1)}
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert [len(one.begun), len(two.begun)] == [1, 3]


@pytest.mark.usefixtures("servers")
async def test_a_disabled_server_hands_back_what_it_has(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    one.execution.held = two.execution.held = True
    jobs = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(2)]
    async with shop.worker():
        await _until(lambda: _both_run(shop, jobs))
        await shop.servers.set_state(COMMAND_LINE, "one", ServerState.DISABLED)
        await _until(lambda: _stands_still(one))
        two.execution.held = False
        ended = [await shop.end_of(job) for job in jobs]
        await shop.servers.remove(COMMAND_LINE, "one")
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert sorted(job.attempt for job in ended) == [1, 2]
    assert [len(one.begun), len(two.begun)] == [1, 2]


async def _stands_still(server: ComfyServer) -> bool:
    return server.running is None and not server.pending


@pytest.mark.usefixtures("servers")
async def test_a_node_class_that_went_fails_the_job_at_once_by_name(shop: Shop, one: ComfyServer) -> None:
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DISABLED)
    async with shop.worker():
        await shop.until_server("one", lambda server: server.models is not None)
        del one.object_info["KSampler"]
        job = await shop.end_of(await shop.submit(values=FEW))
    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert "KSampler" in (job.failure_message or "")
    assert len(one.begun) == 0


@pytest.mark.usefixtures("servers")
async def test_a_slow_server_loses_no_lease(shop: Shop, one: ComfyServer) -> None:
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DISABLED)
    async with shop.worker():
        await shop.until_server("one", lambda server: server.models is not None)
        one.faults.slow_s = 0.8
        job = await shop.end_of(await shop.submit(values=FEW))
        server = await shop.server("one")
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert server.breaker.state is BreakerState.CLOSED


@pytest.mark.usefixtures("servers")
async def test_two_workers_divide_the_servers_and_one_takes_over_what_the_other_left(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    one.execution.held = two.execution.held = True
    async with shop.worker(name="a"):
        async with shop.worker(name="b"):
            await _until(lambda: _led_by(shop, {"a", "b"}))
            jobs = [await shop.submit(values=FEW | {"seed": seed}) for seed in range(2)]
            await _until(lambda: _both_run(shop, jobs))
        await _long_silent(shop, "b")  # it died without a word
        await _until(lambda: _led_by(shop, {"a"}))
        assert await shop.reaping.reap() == 1
        one.execution.held = two.execution.held = False
        ended = [await shop.end_of(job) for job in jobs]
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert [len(one.begun), len(two.begun)] == [1, 1], "what still ran was adopted, not run again"


async def _long_silent(shop: Shop, worker: str) -> None:
    """Its leases are over, those of the others are not."""
    past = datetime.now(UTC) - timedelta(hours=1)

    def work(unit: Unit) -> None:
        for statement in (
            update(WORKERS).where(WORKERS.c.name == worker).values(seen_at=past),
            update(SERVERS).where(SERVERS.c.led_by == worker).values(lead_until=past),
            update(JOBS).where(JOBS.c.worker == worker).values(lease_until=past),
        ):
            unit.connection.execute(statement)

    await shop.database.write(work)


async def _led_by(shop: Shop, workers: set[str]) -> bool:
    """Soon, if not yet: the workers are asked to look."""
    await shop.queue.ring(Bell.SERVERS)
    servers = (await shop.servers.all(COMMAND_LINE)).servers
    return {server.led_by for server in servers} == workers


@pytest.mark.usefixtures("servers")
async def test_a_run_that_was_given_up_is_stopped_when_its_server_answers_again(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    """The server could not be asked to stop, and went on all the while."""
    one.execution.held = True
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DRAINING)
    async with shop.worker():
        job_id = await shop.submit(values=FEW)
        await shop.until_running(job_id)
        one.faults.answer_html = 10_000
        await shop.servers.set_state(COMMAND_LINE, "two", ServerState.ACTIVE)
        assert (await shop.end_of(job_id)).state is JobState.COMPLETED
        assert one.running is not None
        one.faults.answer_html = 0
        await _until(lambda: _stands_still(one))
        await shop.until_server("one", lambda it: it.breaker.state is not BreakerState.OPEN)
    [run_id] = one.begun
    assert one.execution.history[run_id]["status"]["messages"][-1][0] == "execution_interrupted"
    assert len(two.begun) == 1


@pytest.mark.usefixtures("servers")
async def test_switch_times_are_measured(shop: Shop) -> None:
    await shop.servers.set_state(COMMAND_LINE, "two", ServerState.DISABLED)
    async with shop.worker():
        for seed in range(2):
            await shop.end_of(await shop.submit(values=FEW | {"seed": seed}))
        server = await shop.until_server(
            "one", lambda it: bool(it.switches) and it.switches[0].warm_s is not None
        )
    [switch] = server.switches
    assert switch.preset == server.preset == "portrait-pro"
    assert switch.cold_s is not None


async def test_a_job_that_asks_for_a_label_goes_to_the_server_that_carries_it(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    await shop.register(one.url, "one", labels={"gpu": "l4"})
    await shop.register(two.url, "two", labels={"gpu": "h200", "zone": "eu"})
    jobs = [await shop.submit(values=FEW | {"seed": seed}, labels={"gpu": "h200"}) for seed in range(4)]
    async with shop.worker():
        ended = [await shop.end_of(job) for job in jobs]
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert (one.begun, len(two.begun)) == ([], 4)


async def test_a_job_goes_back_to_the_only_server_that_can_run_it(
    shop: Shop, one: ComfyServer, two: ComfyServer
) -> None:
    """However well the others fare."""
    await shop.register(one.url, "one", labels={"gpu": "l4"})
    await shop.register(two.url, "two", labels={"gpu": "h200"})
    two.faults.fail_with = OUT_OF_MEMORY
    job = await shop.submit(values=FEW, labels={"gpu": "h200"})
    async with shop.worker():
        ended = await shop.end_of(job)
    assert (ended.state, ended.failure_code) == (JobState.FAILED, "out_of_memory")
    assert [server for server, _, _ in await _attempts(shop, job)] == ["two", "two"]
    assert one.begun == []


async def test_a_server_that_cannot_even_be_asked_stops_no_other(shop: Shop, one: ComfyServer) -> None:
    await shop.register("http://127.0.0.1:9", "far", token="secret")
    sealed = shop.box.seal("Bearer schl\u00fcssel")
    await shop.database.write(lambda unit: unit.servers.set_credential("far", sealed))
    await shop.register(one.url, "one")
    async with shop.worker():
        assert (await shop.end_of(await shop.submit(values=FEW))).state is JobState.COMPLETED
