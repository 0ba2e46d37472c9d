"""From the bell to a claim, with and without Redis; from a claim to the end; and from a worker's death."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from cloud.clients.blob import artifact_key
from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import migrate_postgres, newest_version
from cloud.repositories.artifacts import ArtifactFacts
from cloud.services.callers import Caller, Scope
from cloud.settings import Settings
from shared.api.accounts import Plan
from shared.api.batches import BatchItem, BatchRequest
from shared.api.jobs import JobInput, JobRequest
from shared.files import digest_bytes, staged_file
from tests.bench.figure import Figure, Load
from tests.support.open_model import offer
from tests.support.postgres import PostgresServer
from tests.support.quick_loop import run_quickly
from tests.support.redis import RedisServer

__all__ = ["measure"]

_PHOTO = b"\x89PNG, as far as a worker with nothing to do can tell"
_RATE = 20.0
_SECONDS = 8.0
_IDLE_S = 10.0
_DEAF = 6
_JOBS = 1000
_JOBS_A_SECOND = 200.0
_HOPS = 200
_QUICK = {"SAFELIGHT_LEASE_S": "3", "SAFELIGHT_REAP_EVERY_S": "0.5"}
_DEATHS = 3
_ORPHANS = 4
_END_S = 60.0


def measure() -> list[Figure]:
    with (
        closing(PostgresServer(durable=True)) as postgres,
        closing(RedisServer()) as redis,
        tempfile.TemporaryDirectory(prefix="safelight-bench-") as folder,
    ):
        place = _Place(postgres.new_database(), redis, Path(folder))
        return run_quickly(_measured(place))


@dataclass(frozen=True, slots=True)
class _Place:
    database_url: str
    redis: RedisServer
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SAFELIGHT_DATA_DIR": str(self.folder),
            "SAFELIGHT_DATABASE_URL": self.database_url,
            "SAFELIGHT_REDIS_URL": self.redis.url,
            "SAFELIGHT_SECRET_KEY": "s" * 40,
        }

    def settings(self) -> Settings:
        return Settings(
            database_url=self.database_url,
            redis_url=self.redis.url,
            data_dir=self.folder,
            secret_key="s" * 40,  # type: ignore[arg-type]
        )

    @contextmanager
    def worker(self, *options: str, **settings: str) -> Iterator["subprocess.Popen[str]"]:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.null_worker", *options],
            env=os.environ | self.environment | settings,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                yield process
            finally:
                process.terminate()


@dataclass(frozen=True, slots=True)
class _Desk:
    context: ProcessContext
    caller: Caller
    digest: str
    rows: "asyncpg.Connection[asyncpg.Record]"

    async def submit(self) -> None:
        await (
            Factory(self.context)
            .jobs()
            .submit(self.caller, JobRequest(preset="noir", inputs=self._inputs()), key=None)
        )

    async def submit_many(self, count: int) -> None:
        request = BatchRequest(preset="noir", items=[BatchItem(inputs=self._inputs())] * count)
        await Factory(self.context).batches().submit(self.caller, request, key=None)

    async def until(self, condition: str) -> None:
        """Until as many as all jobs meet it."""
        async with asyncio.timeout(_END_S):
            left = f"SELECT count(*) FROM jobs WHERE NOT ({condition})"  # noqa: S608 - words of ours
            while await self.rows.fetchval(left):  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.02)

    async def clear(self) -> None:
        await self.rows.execute(
            "DELETE FROM events; DELETE FROM attempts; DELETE FROM jobs; DELETE FROM batches"
        )

    async def waited_ms(self) -> list[float]:
        """From each job's insertion to its first claim."""
        rows = await self.rows.fetch(
            "SELECT extract(epoch FROM a.claimed_at - j.created_at) * 1000 AS ms"
            " FROM jobs j JOIN attempts a ON a.job_id = j.id WHERE a.attempt = 1"
        )
        return [float(row["ms"]) for row in rows]

    def _inputs(self) -> dict[str, list[JobInput]]:
        return {"photo": [JobInput(digest=self.digest, name="a.png")]}


async def _measured(place: _Place) -> list[Figure]:
    await migrate_postgres(place.database_url)
    async with _open_desk(place) as desk:
        with place.worker() as worker:
            await desk.submit()
            await desk.until("state = 'completed'")
            figures = [
                await _idle(worker.pid),
                await _bell_to_claim(desk, place),
                *await _claim_to_end(desk, worker.pid),
            ]
        figures.append(await _recovery(desk, place))
        with place.worker():
            return [*figures, await _deaf(desk, place)]


async def _bell_to_claim(desk: _Desk, place: _Place) -> Figure:
    """By the clock of the database alone: from the insertion of the job, its commit included."""
    await desk.clear()
    hop = await _hops_ms(place.redis.url)
    offered = await offer(desk.submit, rate=_RATE, seconds=_SECONDS)
    await desk.until("state = 'completed'")
    taken = await desk.waited_ms()
    return Figure(
        name="a job's insertion, commit, bell and claim by another process (99 %)",
        value=statistics.quantiles(taken, n=100)[98],
        floor=statistics.quantiles(hop, n=100)[98],
        unit="ms",
        floor_name="a message through Redis and back",
        goal_value=10.0,
        load=Load(offered.arrivals / _SECONDS, offered.rate),
    )


async def _claim_to_end(desk: _Desk, pid: int) -> list[Figure]:
    await desk.clear()
    used = _cpu_s(pid)
    await desk.submit_many(_JOBS)
    await desk.until("state = 'completed'")
    seconds = await desk.rows.fetchval(
        "SELECT extract(epoch FROM max(j.finished_at) - min(a.claimed_at))"
        " FROM jobs j JOIN attempts a ON a.job_id = j.id"
    )
    used_ms = (_cpu_s(pid) - used) * 1000 / _JOBS
    commit_ms = await _commits_ms(desk)
    return [
        Figure(
            name=f"claim to completion of a job, {_JOBS} waiting, an engine that does nothing",
            value=float(seconds) * 1000 / _JOBS,
            floor=commit_ms,
            unit="ms",
            floor_name="one commit of one row",
            goal_value=1000 / _JOBS_A_SECOND,
        ),
        Figure(
            name="the same, of the worker's processor",
            value=used_ms,
            floor=commit_ms,
            unit="ms",
            floor_name="one commit of one row",
            goal_value=1000 / _JOBS_A_SECOND,
        ),
    ]


async def _recovery(desk: _Desk, place: _Place) -> Figure:
    """From the death of a worker to the end of each job that it had, one after the other: any of them may
    have been to blame."""
    taken: list[float] = []
    for _ in range(_DEATHS):
        taken += await _recovered_s(desk, place)
    return Figure(
        name=f"a worker's death to the end of each of its {_ORPHANS} jobs (99 %)",
        value=statistics.quantiles(taken, n=100)[98],
        floor=float(_QUICK["SAFELIGHT_LEASE_S"]) + float(_QUICK["SAFELIGHT_REAP_EVERY_S"]),
        unit="s",
        floor_name="its lease, and the next look for leases that ran out",
        goal_ratio=1.5,
    )


async def _recovered_s(desk: _Desk, place: _Place) -> list[float]:
    await desk.clear()
    with place.worker("--hold", **_QUICK) as doomed:
        await desk.submit_many(_ORPHANS)
        await desk.until("started_at IS NOT NULL")
        with place.worker(**_QUICK):
            doomed.kill()
            died_at = await desk.rows.fetchval("SELECT clock_timestamp()")
            await desk.until("state = 'completed'")
    rows = await desk.rows.fetch("SELECT finished_at FROM jobs")
    return [(row["finished_at"] - died_at).total_seconds() for row in rows]


async def _deaf(desk: _Desk, place: _Place) -> Figure:
    """The longest wait of jobs that come one by one while there is no Redis."""
    await desk.clear()
    place.redis.kill()
    for _ in range(_DEAF):
        await desk.submit()
        await desk.until("state = 'completed'")
    return Figure(
        name="a job's insertion to its claim without Redis (the longest)",
        value=max(await desk.waited_ms()) / 1000,
        floor=place.settings().poll_every_s,
        unit="s",
        floor_name="how often workers look",
        goal_value=2.2,
    )


async def _hops_ms(url: str) -> list[float]:
    """From one connection to another of this process, and back."""
    taken = []
    async with Redis.from_url(url, socket_timeout=None) as redis, redis.pubsub() as ear:
        await ear.subscribe("there")
        await ear.get_message(timeout=1)
        for _ in range(_HOPS):
            begun = time.perf_counter()
            await redis.publish("there", b"")
            while (heard := await ear.get_message(timeout=1)) is None or heard["type"] != "message":
                pass
            taken.append((time.perf_counter() - begun) * 1000)
    return taken


async def _commits_ms(desk: _Desk) -> float:
    taken = []
    for number in range(_HOPS):
        begun = time.perf_counter()
        await desk.rows.execute("UPDATE accounts SET name = $1", f"bench {number}")
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


async def _idle(pid: int) -> Figure:
    return Figure(
        name="a worker that has nothing to do",
        value=await _idle_share(pid),
        floor=0.0,
        unit="% of a core",
        floor_name="nothing",
        goal_value=0.5,
    )


async def _idle_share(pid: int) -> float:
    """Of one core, in percent."""
    begun, used = time.monotonic(), _cpu_s(pid)
    await asyncio.sleep(_IDLE_S)
    return (_cpu_s(pid) - used) / (time.monotonic() - begun) * 100


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def _open_desk(place: _Place) -> AsyncIterator[_Desk]:
    async with open_context(place.settings(), schema_version=newest_version()) as context:
        factory = Factory(context)
        await factory.users().create(email="bench@example.com", name="bench", plan=Plan.STUDIO)
        key = await factory.keys().create(email=None, name="bench", scopes=list(Scope), valid_for=None)
        digest = digest_bytes(_PHOTO)
        with staged_file(context.blobs.staging_folder) as (file, path):
            file.write(_PHOTO)
            file.flush()
            await context.blobs.adopt(artifact_key(key.account_id, digest), path)
        facts = ArtifactFacts("image/png", 10, 10)
        await context.database.write(
            lambda unit: unit.artifacts.add_made(key.account_id, digest, len(_PHOTO), facts)
        )
        rows = await asyncpg.connect(place.database_url.replace("+asyncpg", ""))
        try:
            yield _Desk(context, await factory.keys().authenticate(key.text), digest, rows)
        finally:
            await rows.close()
