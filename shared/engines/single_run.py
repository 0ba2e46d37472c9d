"""One work from beginning to end, for callers that keep no journal."""

import io
from dataclasses import dataclass

from shared.engines.base import Engine, Ticket, Work
from shared.errors import FatalError
from shared.jobs.events import Cancelled, Completed, Expired, Failed, Output

__all__ = ["FinishedOutput", "RunEnded", "run_once"]


class RunEnded(FatalError):
    """The run ended without its outputs; `details` hold the code of the reason."""

    code = "run_ended"


@dataclass(frozen=True, slots=True)
class FinishedOutput:
    output: Output
    data: bytes


async def run_once(engine: Engine, work: Work) -> tuple[FinishedOutput, ...]:
    """Run `work` and return its outputs with their bytes. Raises RunEnded, and what the engine raises."""
    ticket = await engine.prepare(work)
    over = False
    try:
        await engine.start(ticket)
        outputs = await _followed(engine, ticket)
        over = True
        return tuple([FinishedOutput(output, await _fetched(engine, ticket, output)) for output in outputs])
    finally:
        if not over:
            await engine.cancel(ticket)
        await engine.forget(ticket)


async def _followed(engine: Engine, ticket: Ticket) -> tuple[Output, ...]:
    async for event in engine.follow(ticket):
        match event:
            case Completed():
                return event.outputs
            case Failed():
                raise RunEnded(event.message, reason=event.code)
            case Cancelled() | Expired():
                raise RunEnded("the run was ended before it was done", reason="cancelled")
            case _:
                continue
    raise RunEnded("the engine said no more", reason="silent")


async def _fetched(engine: Engine, ticket: Ticket, output: Output) -> bytes:
    sink = io.BytesIO()
    await engine.fetch(ticket, output, sink)
    return sink.getvalue()
