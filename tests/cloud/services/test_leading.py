"""Who leads which server."""

import asyncio
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from cloud.clients.queue import LocalQueue
from cloud.clients.secret_box import SecretBox
from cloud.repositories.database import Database
from cloud.repositories.leads import Leads
from cloud.repositories.servers import Switch
from cloud.services.attempt_rules import AttemptRules
from cloud.services.breaker import BreakerRules
from cloud.services.callers import COMMAND_LINE
from cloud.services.leading import Leading, averaged, gives_up, share_of
from cloud.services.servers import Servers
from shared.api.servers import BreakerState, ServerRequest

LEASE = timedelta(seconds=30)
BOX = SecretBox([Fernet.generate_key().decode()])


@pytest.fixture
def leading(database: Database) -> Leading:
    return Leading(
        database=database,
        queue=LocalQueue(),
        box=BOX,
        rules=AttemptRules(lease=LEASE),
        breaker_rules=BreakerRules(),
    )


async def _register(database: Database, *names: str) -> None:
    servers = Servers(database=database, queue=LocalQueue(), box=BOX)
    for name in names:
        await servers.add(COMMAND_LINE, ServerRequest(url=f"http://{name}", name=name))


async def _led(leading: Leading, worker: str, *, idle: tuple[str, ...] = ()) -> list[str]:
    return [server.name for server in await leading.lead(worker, idle=idle)]


async def test_the_only_worker_leads_all(database: Database, leading: Leading) -> None:
    await _register(database, "a", "b", "c")
    assert await _led(leading, "w") == ["a", "b", "c"]


async def test_a_worker_that_comes_is_given_its_share_of_what_is_idle(
    database: Database, leading: Leading
) -> None:
    await _register(database, "a", "b", "c", "d")
    await _led(leading, "old")
    assert await _led(leading, "new") == []
    assert await _led(leading, "old") == ["a", "b", "c", "d"], "nothing is idle"
    for _ in range(3):
        await _led(leading, "old", idle=("b", "c", "d"))
        await _led(leading, "new")
    assert len(await _led(leading, "old", idle=("b", "c", "d"))) == 2
    assert len(await _led(leading, "new")) == 2


async def test_servers_of_a_dead_worker_are_led_by_another_after_the_lease(
    database: Database, leading: Leading
) -> None:
    await _register(database, "a", "b")
    await _led(leading, "dead")
    assert await _led(leading, "w") == []
    database.clock_offset += LEASE + timedelta(seconds=1)
    assert await _led(leading, "w") == ["a", "b"]
    assert await _led(leading, "dead") == [], "a zombie renews nothing"


async def test_a_worker_that_leaves_is_not_waited_for(database: Database, leading: Leading) -> None:
    await _register(database, "a")
    await _led(leading, "old")
    await leading.leave("old")
    assert await _led(leading, "new") == ["a"]


async def test_the_only_process_leads_at_once_what_it_led_before_it_died(
    database: Database, leading: Leading
) -> None:
    await _register(database, "a")
    await _led(leading, "before")
    await leading.begin_alone()
    assert await _led(leading, "after") == ["a"]


async def test_workers_that_come_together_lead_each_server_once(database: Database, leading: Leading) -> None:
    await _register(database, *(f"s{number}" for number in range(6)))
    workers = [f"w{number}" for number in range(3)]
    await asyncio.gather(*(leading.lead(worker, idle=()) for worker in workers))
    led = [await _led(leading, worker) for worker in workers]
    assert sorted(name for names in led for name in names) == [f"s{number}" for number in range(6)]


async def test_a_failing_server_is_noted_with_what_it_held(database: Database, leading: Leading) -> None:
    await _register(database, "a")
    await database.write(lambda unit: unit.servers.hold("a", "sdxl"))
    await leading.note_switch("a", "sdxl", 4.0, cold=True)
    open_ = await leading.note_failure("a", "it hung", at_once=True)
    assert open_ is not None
    assert (open_.breaker.state, open_.preset) == (BreakerState.OPEN, None)
    assert open_.switches == {"sdxl": Switch(4.0, None)}
    assert await leading.note_failure("gone", "x") is None


leads = st.builds(
    Leads,
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), min_size=1),
    st.lists(st.sampled_from(["x", "y", "z"]), unique=True).map(tuple),
)


@given(leads)
def test_shares_cover_all_servers(found: Leads) -> None:
    servers = sum(found.of_worker.values()) + len(found.free)
    assert share_of(found) * len(found.of_worker) >= servers


@given(leads)
def test_at_most_one_worker_gives_up_and_only_if_it_evens_things_out(found: Leads) -> None:
    givers = [worker for worker in found.of_worker if gives_up(found, worker)]
    assert len(givers) <= 1
    if not givers:
        assert max(found.of_worker.values()) - min(found.of_worker.values()) < 2


def test_newer_measurements_count_more() -> None:
    first = averaged(Switch(), 10.0, cold=True)
    assert first == Switch(10.0, None)
    assert averaged(first, 20.0, cold=True) == Switch(13.0, None)
    assert averaged(first, 2.0, cold=False) == Switch(10.0, 2.0)
