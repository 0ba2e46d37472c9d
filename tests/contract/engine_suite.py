"""What every engine promises, in one suite.

An engine's tests subclass `EngineSuite` and give it a `rig`: the engine, works of known behaviour
for it, and the means to bring faults about. The suite itself knows only `shared/engines/base`.
"""

import asyncio
import io
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from PIL import Image

from shared.engines.base import Engine, OutputRejected, RunLost, Ticket, Work, WorkRefused
from shared.files import digest_bytes
from shared.ids import new_id
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Output,
    OutputKind,
    Progress,
    Queued,
    Started,
)

__all__ = ["EngineRig", "EngineSuite", "begin", "end_of", "run", "until_running"]

TERMINAL = (Completed, Failed, Cancelled, Expired)
BOUND_S = 60.0


class EngineRig(ABC):
    """One engine with the works and faults that the suite needs."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The engine of "this process"."""

    @abstractmethod
    async def another_process(self) -> Engine:
        """A second engine over the same state and the same server, knowing nothing in memory."""

    @abstractmethod
    def quick_work(self, job_id: str) -> Work:
        """Completes soon with at least two pictures from one node and one from another."""

    @abstractmethod
    def slow_work(self, job_id: str) -> Work:
        """Would run for at least ten seconds, and says so by progress; can be cancelled."""

    @abstractmethod
    def failing_work(self, job_id: str) -> Work:
        """Is accepted, then fails while it runs, for a reason in the work itself."""

    @abstractmethod
    def refused_work(self, job_id: str) -> tuple[Work, str, str]:
        """Is refused before it starts; with the node and the input that must be named."""

    @abstractmethod
    async def runs(self, ticket: Ticket) -> int:
        """How often the work of this ticket was really begun."""

    @abstractmethod
    async def lose(self, ticket: Ticket) -> None:
        """Make the engine's other side forget the run, as a restart without memory would."""

    @abstractmethod
    async def bad_output_work(self, job_id: str) -> Work:
        """Runs to its end, but what is delivered is no whole picture."""


async def collect(events: AsyncIterator[JobEvent]) -> list[JobEvent]:
    async with asyncio.timeout(BOUND_S):
        return [event async for event in events]


async def end_of(engine: Engine, ticket: Ticket) -> JobEvent:
    return (await collect(engine.follow(ticket)))[-1]


async def begin(engine: Engine, work: Work) -> Ticket:
    ticket = await engine.prepare(work)
    await engine.start(ticket)
    return ticket


async def run(engine: Engine, work: Work) -> tuple[Ticket, list[JobEvent]]:
    ticket = await begin(engine, work)
    return ticket, await collect(engine.follow(ticket))


async def until_running(engine: Engine, ticket: Ticket) -> None:
    """Returns once the run has begun; its events may be followed again."""
    events = engine.follow(ticket)
    async with asyncio.timeout(BOUND_S):
        async for event in events:
            if isinstance(event, Started | Progress):
                break
            assert not isinstance(event, TERMINAL), f"ended before it ran: {event}"
    await events.aclose()  # type: ignore[attr-defined]


async def fetched(engine: Engine, ticket: Ticket, output: Output) -> bytes:
    sink = io.BytesIO()
    await engine.fetch(ticket, output, sink)
    return sink.getvalue()


def assert_well_formed(events: list[JobEvent], ticket: Ticket) -> None:
    assert {(event.job_id, event.attempt) for event in events} == {(ticket.job_id, ticket.attempt)}
    assert {event.at.utcoffset() for event in events} == {timedelta(0)}, "times are aware and UTC"
    assert [isinstance(event, TERMINAL) for event in events] == [False] * (len(events) - 1) + [True]
    assert sum(isinstance(event, Started) for event in events) <= 1
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    queued = [at for at, event in enumerate(events) if isinstance(event, Queued)]
    started = [at for at, event in enumerate(events) if isinstance(event, Started)]
    assert not queued or not started or max(queued) < min(started)


class EngineSuite:
    """Subclasses define a fixture `rig` that yields an `EngineRig`."""

    async def test_says_what_it_can_do(self, rig: EngineRig) -> None:
        capabilities = await rig.engine.capabilities()

        assert capabilities.node_classes is None or "SaveImage" in capabilities.node_classes
        assert rig.engine.name in {"builtin", "comfy", "cloud"}

    async def test_a_run_ends_with_its_checked_outputs(self, rig: EngineRig) -> None:
        ticket, events = await run(rig.engine, rig.quick_work(new_id()))

        assert_well_formed(events, ticket)
        assert any(isinstance(event, Started) for event in events)
        end = events[-1]
        assert isinstance(end, Completed)
        pictures = [output for output in end.outputs if output.kind is OutputKind.IMAGE]
        assert len(pictures) >= 3
        assert len({(output.node, output.index) for output in end.outputs}) == len(end.outputs)
        assert {output.index for output in pictures} >= {0, 1}
        for output in pictures:
            data = await fetched(rig.engine, ticket, output)
            assert (len(data), digest_bytes(data)) == (output.bytes, output.digest)
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                assert (image.width, image.height) == (output.width, output.height)
            assert output.name == output.name.replace("\\", "/").split("/")[-1]

    async def test_a_ticket_survives_being_written_down(self, rig: EngineRig) -> None:
        work = rig.quick_work(new_id())
        ticket = await rig.engine.prepare(work)

        again = Ticket.from_json(ticket.to_json())

        assert again == ticket
        assert (again.engine, again.job_id) == (rig.engine.name, work.job_id)

    async def test_attempts_are_told_apart(self, rig: EngineRig) -> None:
        job_id = new_id()
        first = await rig.engine.prepare(rig.quick_work(job_id))
        second = await rig.engine.prepare(rig.quick_work(job_id))

        assert first.run_id != second.run_id

    async def test_preparing_starts_nothing(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.quick_work(new_id()))

        assert await rig.runs(ticket) == 0

    async def test_a_refusal_names_the_node_and_the_input(self, rig: EngineRig) -> None:
        work, node, input_name = rig.refused_work(new_id())

        with pytest.raises(WorkRefused) as caught:
            await begin(rig.engine, work)
        assert (caught.value.details["node"], caught.value.details["input"]) == (node, input_name)
        assert caught.value.message

    async def test_a_failure_while_running_says_why(self, rig: EngineRig) -> None:
        ticket, events = await run(rig.engine, rig.failing_work(new_id()))

        assert_well_formed(events, ticket)
        end = events[-1]
        assert isinstance(end, Failed)
        assert end.code
        assert end.message
        assert not end.retryable, "the work itself is at fault: trying again is useless"

    async def test_starting_twice_is_one_run(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.quick_work(new_id()))
        await asyncio.gather(rig.engine.start(ticket), rig.engine.start(ticket))
        other = await rig.another_process()
        await other.start(ticket)

        assert isinstance(await end_of(rig.engine, ticket), Completed)
        await rig.engine.start(ticket)
        assert isinstance(await end_of(rig.engine, ticket), Completed)
        assert await rig.runs(ticket) == 1

    async def test_two_tickets_may_be_open(self, rig: EngineRig) -> None:
        tickets = [await rig.engine.prepare(rig.quick_work(new_id())) for _ in range(2)]
        for ticket in tickets:
            await rig.engine.start(ticket)

        runs = await asyncio.gather(*(collect(rig.engine.follow(ticket)) for ticket in tickets))

        for ticket, events in zip(tickets, runs, strict=True):
            assert_well_formed(events, ticket)
            assert isinstance(events[-1], Completed)

    async def test_two_may_follow_one_run(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.quick_work(new_id()))
        await rig.engine.start(ticket)

        ends = await asyncio.gather(*(end_of(rig.engine, ticket) for _ in range(2)))

        assert ends[0] == ends[1]

    async def test_cancelled_before_the_start_it_never_runs(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.quick_work(new_id()))
        await rig.engine.cancel(ticket)
        await rig.engine.start(ticket)

        assert isinstance(await end_of(rig.engine, ticket), Cancelled)
        assert await rig.runs(ticket) == 0

    async def test_cancelled_right_after_the_start_it_ends(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(ticket)
        async with asyncio.timeout(BOUND_S):
            await rig.engine.cancel(ticket)

        assert isinstance(await end_of(rig.engine, ticket), Cancelled)

    async def test_cancelled_while_running_it_ends(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(ticket)
        follower = asyncio.create_task(collect(rig.engine.follow(ticket)))
        await until_running(rig.engine, ticket)
        async with asyncio.timeout(BOUND_S):
            await rig.engine.cancel(ticket)

        events = await follower
        assert_well_formed(events, ticket)
        assert isinstance(events[-1], Cancelled)

    async def test_cancelled_while_waiting_behind_another_it_ends(self, rig: EngineRig) -> None:
        running = await rig.engine.prepare(rig.slow_work(new_id()))
        waiting = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(running)
        await until_running(rig.engine, running)
        await rig.engine.start(waiting)
        async with asyncio.timeout(BOUND_S):
            await rig.engine.cancel(waiting)
            assert isinstance(await end_of(rig.engine, waiting), Cancelled)
            await rig.engine.cancel(running)

        assert isinstance(await end_of(rig.engine, running), Cancelled)

    async def test_cancelled_by_another_process_it_ends(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(ticket)
        await until_running(rig.engine, ticket)
        other = await rig.another_process()
        async with asyncio.timeout(BOUND_S):
            await other.cancel(ticket)

        assert isinstance(await end_of(other, ticket), Cancelled)
        assert isinstance(await end_of(rig.engine, ticket), Cancelled)

    async def test_cancelling_twice_or_after_the_end_changes_nothing(self, rig: EngineRig) -> None:
        ticket, events = await run(rig.engine, rig.quick_work(new_id()))
        await asyncio.gather(rig.engine.cancel(ticket), rig.engine.cancel(ticket))

        assert await end_of(rig.engine, ticket) == events[-1]

    async def test_after_a_cancel_the_next_run_is_whole(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(ticket)
        await until_running(rig.engine, ticket)
        await rig.engine.cancel(ticket)

        _, events = await run(rig.engine, rig.quick_work(new_id()))

        assert isinstance(events[-1], Completed)

    async def test_another_process_finds_the_finished_run(self, rig: EngineRig) -> None:
        ticket, events = await run(rig.engine, rig.quick_work(new_id()))
        end = events[-1]
        assert isinstance(end, Completed)
        other = await rig.another_process()

        found = await end_of(other, Ticket.from_json(ticket.to_json()))

        assert isinstance(found, Completed)
        assert found.outputs == end.outputs
        data = await fetched(other, ticket, found.outputs[0])
        assert digest_bytes(data) == end.outputs[0].digest

    async def test_another_process_follows_the_run_of_this_one(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(ticket)
        await until_running(rig.engine, ticket)
        other = await rig.another_process()
        follower = asyncio.create_task(collect(other.follow(ticket)))
        await until_running(other, ticket)
        await rig.engine.cancel(ticket)

        events = await follower
        assert_well_formed(events, ticket)
        assert isinstance(events[-1], Cancelled)

    async def test_bad_output_is_a_failure(self, rig: EngineRig) -> None:
        ticket, events = await run(rig.engine, await rig.bad_output_work(new_id()))

        assert_well_formed(events, ticket)
        end = events[-1]
        assert isinstance(end, Failed)
        assert end.code == OutputRejected.code

    async def test_a_lost_run_is_said_to_be_lost(self, rig: EngineRig) -> None:
        ticket = await rig.engine.prepare(rig.slow_work(new_id()))
        await rig.engine.start(ticket)
        await until_running(rig.engine, ticket)
        await rig.lose(ticket)

        with pytest.raises(RunLost):
            await end_of(await rig.another_process(), ticket)

    async def test_an_unknown_run_is_lost_and_its_cancel_harmless(self, rig: EngineRig) -> None:
        known, events = await run(rig.engine, rig.quick_work(new_id()))
        end = events[-1]
        assert isinstance(end, Completed)
        unknown = Ticket(
            engine=known.engine,
            run_id=new_id(),
            job_id=known.job_id,
            attempt=known.attempt,
            details=known.details,
        )

        with pytest.raises(RunLost):
            await end_of(rig.engine, unknown)
        with pytest.raises(RunLost):
            await fetched(rig.engine, unknown, end.outputs[0])
        async with asyncio.timeout(BOUND_S):
            await rig.engine.cancel(unknown)
            await rig.engine.forget(unknown)

    async def test_a_forgotten_run_is_gone(self, rig: EngineRig) -> None:
        ticket, _ = await run(rig.engine, rig.quick_work(new_id()))
        await rig.engine.forget(ticket)
        await rig.engine.forget(ticket)

        with pytest.raises(RunLost):
            await end_of(await rig.another_process(), ticket)
