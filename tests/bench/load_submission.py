"""What it costs to take a job in for good, beside the same statements by shorter and longer ways."""

import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import migrate_postgres, newest_version
from cloud.repositories.artifacts import ArtifactFacts
from cloud.services.callers import Scope
from cloud.settings import Settings
from shared.api.accounts import Plan
from shared.api.batches import BatchItem, BatchRequest
from shared.api.jobs import JobInput, JobRequest
from shared.ids import new_id
from tests.bench.figure import Figure, Load
from tests.support.open_model import Offered, offer
from tests.support.orm_submission import OrmSubmission
from tests.support.postgres import PostgresServer
from tests.support.quick_loop import run_quickly
from tests.support.raw_submission import open_raw_submission

__all__ = ["measure"]

_RATE = 50.0
_SLICE_S = 1.0
_SLICES = 6
_IN_BATCH = 100
_BATCH_RATE = 2.0
_BATCH_S = 6.0
_DIGEST = "a" * 64


def measure() -> list[Figure]:
    with closing(PostgresServer(durable=True)) as server, tempfile.TemporaryDirectory() as folder:
        return run_quickly(_measured(server.new_database(), Path(folder)))


@dataclass(frozen=True, slots=True)
class _Desk:
    """An account with one picture, and its key."""

    context: ProcessContext
    key: str
    account_id: str

    async def submit(self) -> None:
        factory = Factory(self.context)
        caller = await factory.keys().authenticate(self.key)
        request = JobRequest(preset="noir", inputs=_inputs())
        await factory.jobs().submit(caller, request, key=new_id())

    async def submit_batch(self) -> None:
        factory = Factory(self.context)
        caller = await factory.keys().authenticate(self.key)
        items = [BatchItem(inputs=_inputs()) for _ in range(_IN_BATCH)]
        await factory.batches().submit(caller, BatchRequest(preset="noir", items=items), key=new_id())


async def _measured(url: str, folder: Path) -> list[Figure]:
    await migrate_postgres(url)
    async with (
        _open_desk(url, folder) as desk,
        _open_desk(url, folder) as heard,
        open_raw_submission(url, heard.context.database, heard.submit) as raw,
        OrmSubmission(url, desk.account_id, desk.key, _DIGEST) as orm,
    ):
        ways = {"ours": desk.submit, "raw": raw.submit, "orm": orm.submit}
        found = await _in_turns(ways)
        return [*_single(found), await _batches(desk, found)]


async def _in_turns(ways: dict[str, Callable[[], Awaitable[object]]]) -> dict[str, Offered]:
    """What else the machine does falls on all of them."""
    found = {name: Offered() for name in ways}
    for turn in range(_SLICES + 1):
        for name, submit in ways.items():
            offered = await offer(submit, rate=_RATE, seconds=_SLICE_S, seed=turn)
            if turn:
                found[name].add(offered)
    return found


def _single(found: dict[str, Offered]) -> list[Figure]:
    taken = {name: statistics.median(offered.taken_ms) for name, offered in found.items()}
    ours = found["ours"]
    load = Load(ours.arrivals / (_SLICES * _SLICE_S), ours.rate)
    return [
        Figure(
            name="durable submission of a job, key and credits included",
            value=taken["ours"],
            floor=taken["raw"],
            unit="ms",
            floor_name="its statements on raw asyncpg",
            goal_ratio=2.0,
            load=load,
        ),
        Figure(
            name="durable submission of a job, key and credits included",
            value=taken["ours"],
            floor=taken["orm"],
            unit="ms",
            floor_name="the same by an ORM session",
            goal_ratio=0.5,
            load=load,
        ),
    ]


async def _batches(desk: _Desk, found: dict[str, Offered]) -> Figure:
    await desk.submit_batch()
    offered = await offer(desk.submit_batch, rate=_BATCH_RATE, seconds=_BATCH_S)
    return Figure(
        name=f"one job of a batch of {_IN_BATCH}",
        value=statistics.median(offered.taken_ms) / _IN_BATCH,
        floor=statistics.median(found["ours"].taken_ms),
        unit="ms",
        floor_name="submitted by itself",
        goal_ratio=0.1,
        load=Load(offered.arrivals * _IN_BATCH / _BATCH_S, offered.rate * _IN_BATCH),
    )


@asynccontextmanager
async def _open_desk(url: str, folder: Path) -> AsyncIterator[_Desk]:
    settings = Settings(database_url=url, data_dir=folder, secret_key="s" * 40)  # type: ignore[arg-type]
    async with open_context(settings, schema_version=newest_version()) as context:
        factory, email = Factory(context), f"{new_id()}@example.com"
        await factory.users().create(email=email, name="bench", plan=Plan.STUDIO)
        key = await factory.keys().create(email=email, name="bench", scopes=list(Scope), valid_for=None)
        facts = ArtifactFacts("image/png", 10, 10)
        await context.database.write(lambda unit: unit.artifacts.add_made(key.account_id, _DIGEST, 7, facts))
        yield _Desk(context, key.text, key.account_id)


def _inputs() -> dict[str, list[JobInput]]:
    return {"photo": [JobInput(digest=_DIGEST, name="a.png")]}
