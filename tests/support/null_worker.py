"""`python -m tests.support.null_worker [--hold]`: a worker whose engine does nothing, to see what the rest
costs; or does not even end it, for jobs that are to lose their worker.

Its settings are those of any process; a line on its output says that it is there.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import BinaryIO

from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import newest_version
from cloud.services.presets import BUILTIN_POOL
from cloud.settings import load_settings
from cloud.tasks.housekeeping import keep_house
from cloud.worker.process import run_worker, worker_name
from cloud.worker.seat import Seat
from cloud.worker.server_watch import WatchRules
from shared.engines.base import Capabilities, PresetWork, Ticket, Work
from shared.ids import new_id
from shared.jobs.events import Completed, JobEvent, Output, Started
from shared.logs import configure_logs
from tests.support.quick_loop import run_quickly

__all__ = ["NullEngine"]

_AT_ONCE = 16


class NullEngine:
    """Completes whatever it is given at once, without outputs, unless it `holds`."""

    def __init__(self, *, holds: bool = False) -> None:
        self._holds = holds

    @property
    def name(self) -> str:
        return "null"

    async def capabilities(self) -> Capabilities:
        return Capabilities()

    async def prepare(self, work: Work) -> Ticket:
        assert isinstance(work, PresetWork)
        return Ticket(engine=self.name, run_id=new_id(), job_id=work.job_id, attempt=work.attempt)

    async def start(self, ticket: Ticket) -> None:
        """There is nothing to do."""

    async def follow(self, ticket: Ticket) -> AsyncIterator[JobEvent]:
        now = datetime.now(UTC)
        yield Started(job_id=ticket.job_id, attempt=ticket.attempt, at=now, engine=self.name)
        if self._holds:
            await asyncio.Event().wait()
        yield Completed(job_id=ticket.job_id, attempt=ticket.attempt, at=now, outputs=())

    async def cancel(self, ticket: Ticket) -> None:
        """It is over."""

    async def fetch(self, ticket: Ticket, output: Output, sink: BinaryIO) -> None:
        raise AssertionError("there are no outputs")

    async def forget(self, ticket: Ticket) -> None:
        """Nothing is kept."""

    async def aclose(self) -> None:
        """Nothing is open."""


async def _work() -> None:
    settings = load_settings()
    configure_logs(level="warning", as_json=False)
    async with open_context(settings, schema_version=newest_version()) as context:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        beside = [
            asyncio.create_task(Factory(context).publisher().run()),
            asyncio.create_task(keep_house(context)),
        ]
        print("ready", flush=True)
        await _worked(context, stop)
        for task in beside:
            task.cancel()


async def _worked(context: ProcessContext, stop: asyncio.Event) -> None:
    factory, settings = Factory(context), context.settings
    engine = NullEngine(holds="--hold" in sys.argv[1:])
    seat = Seat(engine=engine, pools=frozenset({BUILTIN_POOL}), runs_at_once=_AT_ONCE)
    await run_worker(
        name=worker_name(),
        seats=[seat],
        claiming=factory.claiming(),
        attempts=factory.attempts(),
        waiting=factory.waiting(),
        leading=factory.leading(),
        rules=factory.attempt_rules(),
        watch_rules=WatchRules(),
        queue=context.queue,
        broadcast=context.broadcast,
        blobs=context.blobs,
        presets=context.presets,
        folder=settings.data_dir / "engines",
        stop=stop,
        poll_s=settings.poll_every_s,
    )


if __name__ == "__main__":
    run_quickly(_work())
