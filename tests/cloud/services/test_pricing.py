"""Prices: declared first, then measured."""

import pytest

from cloud.repositories.attempt import Claim
from cloud.repositories.database import Database
from cloud.repositories.run_times import RunTime
from cloud.repositories.servers import NewServer, ServerFacts
from cloud.repositories.unit import Unit
from cloud.services.pricing import Offer, Pricing, Rates, price_of
from shared.engines.base import Ticket
from shared.ids import new_id
from shared.jobs.events import Output, OutputKind
from tests.cloud.services.desk import Desk

RATES = Rates(0.1, {"fast": 0.5})
OUTPUT = Output("9", 0, OutputKind.IMAGE, "a.png", "image/png", 10, "b" * 64, 4, 4)


async def begin(desk: Desk, claim: Claim) -> None:
    ref = claim.ref
    ticket = Ticket(engine="builtin", run_id="r", job_id=ref.job_id, attempt=ref.number)
    await desk.attempts.store_ticket(ref, ticket)
    await desk.attempts.mark_running(ref, engine="builtin")


def runs(count: int, seconds: float, server_class: str = "slow") -> list[RunTime]:
    return [RunTime(server_class, seconds)] * count


@pytest.mark.parametrize(
    ("declared", "seen", "credits", "kind", "expected_s"),
    [
        (2, [], 2, "declared", None),
        (2, runs(19, 40.0), 2, "declared", 40.0),
        (2, runs(20, 40.0), 4, "measured", 40.0),
        (2, runs(20, 40.01), 5, "measured", 40.01),  # rounded up
        (2, runs(20, 0.1), 1, "measured", 0.1),  # at least one
        (2, runs(20, 4000.0), 6, "measured", 4000.0),  # at most three times the declared one
        (0, runs(50, 40.0), 0, "declared", 40.0),  # free stays free
        (9, [*runs(20, 10.0, "fast"), *runs(30, 40.0)], 4, "measured", 40.0),  # where most were run
        (9, [*runs(30, 10.0, "fast"), *runs(20, 40.0)], 5, "measured", 10.0),  # at that class's rate
        (5, [*runs(19, 10.0), *runs(2, 9000.0)], 1, "measured", 10.0),  # what hung moves nothing
    ],
)
def test_price(declared: int, seen: list[RunTime], credits: int, kind: str, expected_s: float | None) -> None:
    price = price_of(declared, seen, RATES)
    assert (price.credits, price.basis.kind, price.expected_s) == (credits, kind, expected_s)


async def test_completed_first_attempts_are_history(database: Database) -> None:
    """A run that a later attempt took over says nothing of how long it took."""
    desk = Desk(database)
    account = await desk.account()
    await desk.jobs(account, 2)
    for taken_over in (False, True):
        claim = await desk.claim()
        if taken_over:
            await desk.attempts.release(claim.ref, reason="drained")
            claim = await desk.claim()
        await begin(desk, claim)
        desk.database.clock_offset += desk.rules.lease / 2
        await desk.attempts.begin_saving(claim.ref)
        await desk.attempts.complete(claim.ref, [OUTPUT])

    found = await database.read(lambda unit: unit.run_times.latest("noir", "1.0.0", 10))
    assert [run.server_class for run in found] == ["builtin"]
    assert found[0].seconds == pytest.approx(15.0, abs=5.0)


async def test_price_is_looked_up_anew_after_a_while(database: Database) -> None:
    desk = Desk(database)
    now = 0.0
    pricing = Pricing(rates=RATES, fresh_s=30.0, clock=lambda: now)
    offer = Offer("noir", "1.0.0", 2)

    async def expected() -> float | None:
        return (await database.read(lambda unit: pricing.price(unit, offer))).expected_s

    assert await expected() is None
    [_] = await desk.jobs(await desk.account())
    claim = await desk.claim()
    await begin(desk, claim)
    await desk.attempts.begin_saving(claim.ref)
    await desk.attempts.complete(claim.ref, [OUTPUT])
    assert await expected() is None
    now = 31.0
    assert await expected() is not None


async def test_class_of_a_server_is_its_device(database: Database) -> None:
    desk = Desk(database)
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    gpu = NewServer(
        id=new_id(), name="gpu", url="http://gpu", credential=None, pool="comfy", capacity=1, labels={}
    )

    def work(unit: Unit) -> None:
        unit.servers.add(gpu)
        unit.servers.note_facts("gpu", ServerFacts(device="NVIDIA H200"))

    await database.write(work)
    claim = await desk.claim()
    ticket = Ticket(engine="comfy", run_id="r", job_id=job_id, attempt=1)
    await desk.attempts.store_ticket(claim.ref, ticket, server="gpu")

    [attempt] = await database.read(lambda unit: unit.jobs.attempts(job_id))
    assert (attempt.engine, attempt.server_class) == ("comfy", "NVIDIA H200")
