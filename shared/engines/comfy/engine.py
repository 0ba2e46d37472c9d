"""ComfyUI behind the protocol of every engine."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from shared.comfy.client import ComfyClient
from shared.comfy.errors import (
    PromptLost,
    PromptRefused,
    ServerFaulty,
    ServerTooOld,
    ServerUnreachable,
    UploadRefused,
)
from shared.comfy.graph import Graph
from shared.comfy.records import Interrupted, NodeFailure, Outcome, Succeeded
from shared.comfy.submission import Prompt
from shared.engines.base import (
    Capabilities,
    EngineUnavailable,
    GraphWork,
    InputsGone,
    RunLost,
    Ticket,
    Work,
    WorkRefused,
)
from shared.engines.comfy.ending import Ending
from shared.engines.comfy.progress import RunProgress
from shared.engines.comfy.spool import Spool
from shared.engines.comfy.staging import Staging
from shared.engines.comfy.tickets import TicketDetails, make_ticket, read_ticket
from shared.errors import UsageError
from shared.ids import new_id
from shared.jobs.events import Cancelled, JobEvent, Output, TerminalEvent
from shared.logs import request_id
from shared.media import DEFAULT_INPUT_LIMITS, DEFAULT_OUTPUT_LIMITS, MediaLimits

__all__ = ["ENGINE_NAME", "ComfyEngine"]

ENGINE_NAME = "comfy"


@dataclass(slots=True)
class _Run:
    """What this process knows of a run. `is_new`: nobody can have started it yet."""

    is_new: bool
    started: bool = False
    cancelled: bool = False
    end: TerminalEvent | None = None
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    ending: asyncio.Lock = field(default_factory=asyncio.Lock)


class ComfyEngine:
    """Runs work on one server. The engine owns the client and closes it.

    `spool_folder` keeps received outputs until they are forgotten; it may be shared by processes.
    """

    def __init__(
        self,
        *,
        client: ComfyClient,
        spool_folder: Path,
        input_limits: MediaLimits = DEFAULT_INPUT_LIMITS,
        output_limits: MediaLimits = DEFAULT_OUTPUT_LIMITS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._now = now
        self._staging = Staging(client=client, limits=input_limits)
        self._spool = Spool(folder=spool_folder, client=client, limits=output_limits)
        self._ending = Ending(client=client, spool=self._spool, now=now)
        self._runs: dict[str, _Run] = {}

    @property
    def name(self) -> str:
        return ENGINE_NAME

    async def aclose(self) -> None:
        await self._client.aclose()

    async def capabilities(self) -> Capabilities:
        with _translated():
            facts = await self._client.facts(refresh=True)
            catalogue = await self._client.catalogue(refresh=True)
            folders = await self._client.model_folders()
            names = await asyncio.gather(*(self._client.models(folder) for folder in folders))
        return Capabilities(
            node_classes=catalogue.names,
            models=dict(zip(folders, names, strict=True)),
            version=facts.version,
        )

    async def prepare(self, work: Work) -> Ticket:
        with _translated():
            staged = (
                await self._staging.graph_work(work)
                if isinstance(work, GraphWork)
                else await self._staging.preset_work(work)
            )
        ticket = make_ticket(
            engine=ENGINE_NAME,
            run_id=new_id(),
            work=work,
            details=TicketDetails(
                server=self._client.address,
                client_id=self._client.client_id,
                graph=staged.graph,
                outputs=staged.outputs,
            ),
        )
        self._runs[ticket.run_id] = _Run(is_new=True)
        return ticket

    async def start(self, ticket: Ticket) -> None:
        run = self._run(ticket)
        async with run.starting:
            if run.started or self._is_cancelled(ticket, run):
                return
            details = read_ticket(ticket)
            with _translated():
                run.started = not run.is_new and await self._client.is_known(ticket.run_id)
                if run.started or self._is_cancelled(ticket, run):
                    return
                run.is_new = False
                await self._submit(ticket, details)
            run.started = True

    async def follow(self, ticket: Ticket) -> AsyncGenerator[JobEvent, None]:
        run, details = self._run(ticket), read_ticket(ticket)
        if run.end is None and self._is_cancelled(ticket, run) and not run.started:
            run.end = self._cancelled(ticket)
        if run.end is not None:
            yield run.end
            return
        progress = RunProgress(ticket=ticket, graph=details.graph, server=details.server, now=self._now)
        news = self._client.follow(ticket.run_id, client_id=details.client_id)
        try:
            with _translated():
                async with contextlib.aclosing(news):
                    async for item in news:
                        for event in progress.events(item):
                            yield event
                        if isinstance(item, Succeeded | NodeFailure | Interrupted):
                            if not isinstance(item, Interrupted):
                                for event in progress.start():
                                    yield event
                            yield await self._concluded(ticket, run, details, item)
        except RunLost:
            if not self._is_cancelled(ticket, run):
                raise
            yield await self._concluded(ticket, run, details, Interrupted())

    async def cancel(self, ticket: Ticket) -> None:
        run = self._run(ticket)
        if run.end is not None:
            return
        run.cancelled = True
        with _translated():
            outcome = await self._client.cancel(ticket.run_id)
        run.cancelled = outcome is None or isinstance(outcome, Interrupted)
        if outcome is None:
            self._spool.mark_cancelled(ticket.run_id)

    async def fetch(self, ticket: Ticket, output: Output, sink: BinaryIO) -> None:
        if not self._spool.has(ticket.run_id, output):
            with _translated():
                await self._ending.receive_again(ticket, read_ticket(ticket), output)
        await self._spool.copy(ticket.run_id, output, sink)

    async def forget(self, ticket: Ticket) -> None:
        self._client.forget(ticket.run_id)
        self._runs.pop(ticket.run_id, None)
        with contextlib.suppress(ServerUnreachable, ServerFaulty):
            await self._client.erase(ticket.run_id)
        await self._spool.forget(ticket.run_id)

    async def _submit(self, ticket: Ticket, details: TicketDetails) -> None:
        prompt = Prompt(
            id=ticket.run_id,
            client_id=details.client_id,
            graph=details.graph,
            extra_data={"safelight": {"job": ticket.job_id, "request_id": request_id()}},
        )
        try:
            await self._client.submit(prompt)
        except PromptRefused as refusal:
            if self._lacks_upload(details.graph, refusal):
                self._staging.forget_uploads()
                raise InputsGone(
                    "the ComfyUI server no longer has a file that was sent to it; it must be sent again"
                ) from refusal
            raise

    def _lacks_upload(self, graph: Graph, refusal: PromptRefused) -> bool:
        return any(
            problem.node is not None
            and problem.input is not None
            and self._staging.brought(graph.nodes[problem.node].inputs.get(problem.input))
            for problem in refusal.problems
        )

    async def _concluded(
        self, ticket: Ticket, run: _Run, details: TicketDetails, outcome: Outcome
    ) -> TerminalEvent:
        """The one terminal event of the run, made by the first follower who gets so far."""
        async with run.ending:
            if run.end is None:
                run.end = await self._ending.event(ticket, details, outcome)
            return run.end

    def _run(self, ticket: Ticket) -> _Run:
        return self._runs.setdefault(ticket.run_id, _Run(is_new=False))

    def _is_cancelled(self, ticket: Ticket, run: _Run) -> bool:
        return run.cancelled or self._spool.is_cancelled(ticket.run_id)

    def _cancelled(self, ticket: Ticket) -> Cancelled:
        return Cancelled(job_id=ticket.job_id, attempt=ticket.attempt, at=self._now())


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Errors of the server in the words of the engine protocol."""
    try:
        yield
    except PromptLost as error:
        raise RunLost(error.message) from error
    except (ServerUnreachable, ServerFaulty) as error:
        raise EngineUnavailable(error.message, **error.details) from error
    except WorkRefused:
        raise
    except (UsageError, ServerTooOld, UploadRefused) as error:
        raise WorkRefused(error.message, **{"reason": error.code, **error.details}) from error
