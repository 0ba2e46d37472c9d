"""Submissions while the database is busy, or undoes one of two that wait for each other."""

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cloud.errors import Fenced
from cloud.repositories.unit import Unit
from shared.api.accounts import Plan
from shared.jobs.events import Output, OutputKind
from tests.cloud.api import PRESET, Api, Client, open_api, settings_for

OUTPUT = Output("9", 0, OutputKind.IMAGE, "a.png", "image/png", 10, "b" * 64, 4, 4)
HELD_S = 12  # less than a statement may take, and much more than a client waits


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_exhausted_connections_are_said_within_two_seconds(database_url: str, tmp_path: Path) -> None:
    """Long before one is free, and nothing is left of it then."""
    async with open_api(settings_for(database_url, tmp_path, database_connections=2)) as api:
        client = await api.client()
        body = await client.body()

        held, loop = asyncio.Semaphore(0), asyncio.get_running_loop()

        def hold(unit: Unit) -> None:
            loop.call_soon(held.release)
            unit.connection.execute(text(f"SELECT pg_sleep({HELD_S})"))

        holding = [asyncio.create_task(api.context.database.write(hold)) for _ in range(2)]
        for _ in holding:
            await held.acquire()
        answers = await asyncio.gather(*(client.submit(body, key=f"k{number}") for number in range(5)))
        assert not any(task.done() for task in holding)
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)

        assert {answer.status_code for answer in answers} <= {409, 503}
        assert all("Retry-After" in answer.headers for answer in answers)
        assert (await client.call("GET", "/jobs")).json()["jobs"] == []
        assert [(await client.submit(body, key=f"k{number}")).status_code for number in range(5)] == [202] * 5


async def test_a_storm_of_everything_leaves_everything_in_order(database_url: str, tmp_path: Path) -> None:
    """Submitted, cancelled, claimed, ended and expired at once: no fault, no lost job, no lost credit."""
    async with open_api(settings_for(database_url, tmp_path), price=1) as api:
        client = await api.client(plan=Plan.STUDIO)
        storm = _Storm(api, client, random.Random(7))
        await storm.prepare()
        await asyncio.gather(*(storm.rage(25) for _ in range(8)))

        assert storm.faults == []
        assert await api.factory.credit_audit().findings() == ()
        await _check_lanes(api)
        await storm.finish()
        assert await api.factory.credit_audit().findings() == ()
        balance = (await client.call("GET", "/credits")).json()
        counts = await _counts(api, client)
        assert balance["reserved"] == 0
        assert balance["credits_per_month"] - balance["available"] == counts.get("completed", 0)
        assert set(counts) <= {"completed", "failed", "cancelled", "expired"}
        await _check_batches(api)


class _Storm:
    """Does one thing after another, at random."""

    def __init__(self, api: Api, client: Client, chance: random.Random) -> None:
        self.api = api
        self.client = client
        self.chance = chance
        self.faults: list[str] = []
        self.jobs: list[str] = []
        self.batches: list[str] = []
        self.body: dict[str, Any] = {}

    async def prepare(self) -> None:
        self.body = await self.client.body()

    async def rage(self, steps: int) -> None:
        acts = (
            self.submit,
            self.submit_batch,
            self.cancel,
            self.cancel_batch,
            self.work,
            self.work,
            self.reap,
        )
        for _ in range(steps):
            await self.chance.choice(acts)()

    async def submit(self) -> None:
        answer = await self.client.submit(self.body)
        self._note(answer)
        if answer.status_code == 202:
            self.jobs.append(answer.json()["id"])

    async def submit_batch(self) -> None:
        items = [{"inputs": self.body["inputs"]}] * self.chance.randint(1, 6)
        answer = await self.client.call("POST", "/batches", json={"preset": PRESET, "items": items})
        self._note(answer)
        if answer.status_code == 202:
            self.batches.append(answer.json()["id"])

    async def cancel(self) -> None:
        if self.jobs:
            self._note(await self.client.call("POST", f"/jobs/{self.chance.choice(self.jobs)}/cancel"))

    async def cancel_batch(self) -> None:
        if self.batches:
            self._note(await self.client.call("POST", f"/batches/{self.chance.choice(self.batches)}/cancel"))

    async def work(self) -> None:
        claiming, attempts = self.api.factory.claiming(), self.api.factory.attempts()
        lanes = (await claiming.backlog(("builtin",))).lanes
        claim = await claiming.claim(lanes[0], worker="w") if lanes else None
        if claim is None:
            return
        with contextlib.suppress(Fenced):
            match self.chance.randint(0, 3):
                case 0:
                    await attempts.fail(claim.ref, code="x", message="x", retryable=False)
                case 1:
                    await attempts.release(claim.ref, reason="a storm")
                case _:
                    await attempts.begin_saving(claim.ref)
                    await attempts.complete(claim.ref, [OUTPUT])

    async def reap(self) -> None:
        await self.api.factory.reaping().reap()
        await self.api.factory.waiting().expire()

    async def finish(self) -> None:
        """Until nothing waits."""
        while (await self.api.factory.claiming().backlog(("builtin",))).lanes:
            await self.work()

    def _note(self, answer: Any) -> None:
        if answer.status_code >= 500:
            self.faults.append(answer.text)


async def _counts(api: Api, client: Client) -> dict[str, int]:
    def work(unit: Unit) -> list[str]:
        rows = unit.connection.execute(
            text("SELECT state FROM jobs WHERE account_id = :account"), {"account": client.account_id}
        )
        return [row.state for row in rows]

    return dict(Counter(await api.context.database.read(work)))


async def _check_lanes(api: Api) -> None:
    """Each lane counts exactly the jobs that wait in it."""

    def work(unit: Unit) -> tuple[set[Any], set[Any]]:
        queued = unit.connection.execute(
            text(
                "SELECT account_id, priority, models, count(*) FROM jobs WHERE state = 'queued' "
                "GROUP BY account_id, priority, models"
            )
        )
        lanes = unit.connection.execute(text("SELECT account_id, priority, models, waiting FROM lanes"))
        return {tuple(row) for row in queued}, {tuple(row) for row in lanes}

    queued, lanes = await api.context.database.read(work)
    assert lanes == queued


async def _check_batches(api: Api) -> None:
    """Each has counted its jobs, and told of its end once."""

    def work(unit: Unit) -> list[Any]:
        return list(
            unit.connection.execute(
                text(
                    "SELECT total, completed, failed, cancelled, expired, "
                    "(SELECT count(*) FROM jobs WHERE batch_id = batches.id "
                    "AND state = 'completed') AS done, "
                    "(SELECT count(*) FROM events WHERE kind = 'batch_completed' "
                    "AND body LIKE '%' || batches.id || '%') AS told FROM batches"
                )
            )
        )

    batches = await api.context.database.read(work)
    assert batches
    for batch in batches:
        ended = batch.completed + batch.failed + batch.cancelled + batch.expired
        assert (ended, batch.done, batch.told) == (batch.total, batch.completed, 1)
