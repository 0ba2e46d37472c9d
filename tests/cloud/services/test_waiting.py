"""Jobs that wait for what will not come."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from cloud.clients.queue import LocalQueue
from cloud.repositories.database import Database
from cloud.repositories.jobs import JobRecord, NewJob
from cloud.repositories.lanes import Lane, LaneHead
from cloud.repositories.servers import Breaker, NewServer
from cloud.repositories.unit import Unit
from cloud.services.endings import Endings
from cloud.services.lane_needs import with_labels
from cloud.services.model_choices import model_choices
from cloud.services.waiting import NO_SERVER, Waiting, lacking_everywhere
from shared.api.servers import BreakerState, ServerState
from shared.engines.base import Capabilities
from shared.ids import new_id
from shared.jobs.state import JobState
from shared.presets.bundle import load_preset, shipped_presets_folder
from shared.presets.requirement import Missing, MissingKind
from shared.presets.values import resolve_values

PORTRAIT = load_preset(shipped_presets_folder() / "portrait-pro")
CLASSES = frozenset(need.class_type for need in PORTRAIT.manifest.requires.nodes)
LONGEST = timedelta(hours=2)
NODE = Missing(kind=MissingKind.NODE, name="A", message="a")
MODEL = Missing(kind=MissingKind.MODEL, name="b.safetensors", message="b")


class Hall:
    """One account whose portraits wait in the pool `comfy`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.account = new_id()
        self.waiting = Waiting(
            database=database,
            queue=LocalQueue(),
            endings=Endings(),
            presets={PORTRAIT.manifest.id: PORTRAIT},
            longest=LONGEST,
            utcnow=lambda: datetime.now(UTC),
        )

    async def open(self) -> None:
        await self.database.write(lambda unit: unit.accounts.add(self.account, "Test"))

    async def submit(self, model: str, **labels: str) -> str:
        job_id, values = new_id(), resolve_values(PORTRAIT.manifest, {"model": model})
        needs = with_labels(model_choices(PORTRAIT, values), labels)
        lane = Lane("comfy", 0, self.account, "portrait-pro", needs)
        job = NewJob(
            id=job_id, lane=lane, preset_version="1", preset_digest=PORTRAIT.digest, values=values, inputs={}
        )

        def work(unit: Unit) -> None:
            unit.jobs.add(job)
            unit.lanes.enter(lane)

        await self.database.write(work)
        return job_id

    async def see(self, server: str, *models: str, classes: frozenset[str] | None = CLASSES) -> None:
        """The server says what it can run; the first time, it is registered too."""
        can = Capabilities(node_classes=classes, models={"checkpoints": models})

        def work(unit: Unit) -> None:
            if unit.servers.find(server) is None:
                unit.servers.add(_server(server))
            unit.servers.note_capabilities(server, can)

        await self.database.write(work)

    async def fail(self, server: str) -> None:
        await self.database.write(
            lambda unit: unit.servers.set_breaker(server, Breaker(state=BreakerState.OPEN))
        )

    async def lanes(self) -> tuple[LaneHead, ...]:
        return (await self.database.read(lambda unit: unit.lanes.backlog(["comfy"]))).lanes

    async def refuse(self) -> int:
        return sum([await self.waiting.refuse(lane) for lane in await self.lanes()])

    async def job(self, job_id: str) -> JobRecord:
        found = await self.database.read(lambda unit: unit.jobs.find(self.account, job_id))
        assert found is not None
        return found

    async def states(self, jobs: Mapping[str, str]) -> dict[str, JobState]:
        return {name: (await self.job(job_id)).state for name, job_id in jobs.items()}

    async def events(self, job_id: str) -> list[str]:
        await self.database.write(lambda unit: unit.events.number_unpublished(100))
        found = await self.database.read(
            lambda unit: unit.events.after(self.account, 0, job_id=job_id, limit=100)
        )
        return [event.kind for event in found]


def _server(name: str, **labels: str) -> NewServer:
    return NewServer(
        id=new_id(), name=name, url=f"http://{name}", credential=None, pool="comfy", capacity=1, labels=labels
    )


@pytest.fixture
async def hall(database: Database) -> Hall:
    hall = Hall(database)
    await hall.open()
    return hall


async def test_what_no_server_has_is_refused_by_name_and_the_rest_waits(hall: Hall) -> None:
    jobs = {"there": await hall.submit("there.ckpt"), "nowhere": await hall.submit("nowhere.ckpt")}
    await hall.see("a", "there.ckpt")
    await hall.see("b", "other.ckpt")
    assert await hall.refuse() == 1
    assert await hall.states(jobs) == {"there": JobState.QUEUED, "nowhere": JobState.FAILED}
    job = await hall.job(jobs["nowhere"])
    assert job.failure_code == NO_SERVER
    assert "nowhere.ckpt" in (job.failure_message or "")
    assert await hall.events(jobs["nowhere"]) == ["failed"]
    assert [lane.waiting for lane in await hall.lanes()] == [1]


async def test_missing_node_classes_are_named(hall: Hall) -> None:
    job_id = await hall.submit("there.ckpt")
    await hall.see("a", "there.ckpt", classes=CLASSES - {"KSampler"})
    assert await hall.refuse() == 1
    assert "KSampler" in ((await hall.job(job_id)).failure_message or "")


async def test_labels_that_no_server_carries_any_more_are_named(hall: Hall) -> None:
    labelled = await hall.submit("there.ckpt", gpu="h200")
    await hall.database.write(lambda unit: unit.servers.add(_server("labelled", gpu="h200")))
    await hall.see("plain", "there.ckpt")
    assert await hall.refuse() == 0  # the labelled one has not said what it has
    await hall.see("labelled", "there.ckpt")
    assert await hall.refuse() == 0
    await hall.database.write(lambda unit: unit.servers.remove("labelled"))
    assert await hall.refuse() == 1
    message = (await hall.job(labelled)).failure_message or ""
    assert message == "no server can run Portrait Pro: the label gpu=h200 is missing"


async def test_of_a_server_with_the_labels_the_models_are_named(hall: Hall) -> None:
    job_id = await hall.submit("nowhere.ckpt", gpu="h200")
    await hall.database.write(lambda unit: unit.servers.add(_server("labelled", gpu="h200")))
    await hall.see("plain", "there.ckpt")
    await hall.see("labelled", "there.ckpt")
    assert await hall.refuse() == 1
    message = (await hall.job(job_id)).failure_message or ""
    assert "nowhere.ckpt" in message
    assert "label" not in message


async def test_nothing_is_refused_while_a_server_was_not_asked(hall: Hall) -> None:
    await hall.see("early")  # before the job came: what it lacked then, it may have now
    await hall.submit("nowhere.ckpt")
    assert await hall.refuse() == 0
    await hall.see("early")
    await hall.database.write(lambda unit: unit.servers.add(_server("new")))
    assert await hall.refuse() == 0
    await hall.see("new")
    assert await hall.refuse() == 1


async def test_a_server_that_fails_is_waited_for_if_it_had_what_is_needed(hall: Hall) -> None:
    await hall.see("away", "there.ckpt")
    await hall.fail("away")
    jobs = {"there": await hall.submit("there.ckpt"), "nowhere": await hall.submit("nowhere.ckpt")}
    await hall.see("here")
    assert await hall.refuse() == 1
    assert await hall.states(jobs) == {"there": JobState.QUEUED, "nowhere": JobState.FAILED}


async def test_a_server_that_was_never_reached_is_not_waited_for(hall: Hall) -> None:
    await hall.submit("nowhere.ckpt")
    await hall.see("here")
    await hall.database.write(lambda unit: unit.servers.add(_server("typo")))
    await hall.fail("typo")
    assert await hall.refuse() == 1


async def test_nothing_is_refused_without_a_server(hall: Hall) -> None:
    await hall.submit("nowhere.ckpt")
    assert await hall.refuse() == 0
    await hall.see("a")
    await hall.database.write(lambda unit: unit.servers.set_state("a", ServerState.DISABLED))
    assert await hall.refuse() == 0


async def test_what_has_waited_too_long_expires(hall: Hall) -> None:
    old = await hall.submit("a.ckpt")
    hall.database.clock_offset += LONGEST - timedelta(seconds=5)
    young = await hall.submit("a.ckpt")
    assert await hall.waiting.expire() == 0
    hall.database.clock_offset += timedelta(seconds=10)
    assert await hall.waiting.expire() == 1
    assert await hall.states({"old": old, "young": young}) == {
        "old": JobState.EXPIRED,
        "young": JobState.QUEUED,
    }
    assert await hall.events(old) == ["expired"]
    assert [lane.waiting for lane in await hall.lanes()] == [1]


@pytest.mark.parametrize(
    ("lacks", "expected"),
    [
        ([], ()),
        ([(NODE,)], (NODE,)),
        ([(NODE, MODEL), (MODEL,)], (MODEL,)),
        ([(NODE,), ()], ()),
        ([(NODE,), None], ()),
    ],
)
def test_only_what_every_known_server_lacks_is_lacking(
    lacks: list[tuple[Missing, ...] | None], expected: tuple[Missing, ...]
) -> None:
    assert lacking_everywhere(lacks) == expected
