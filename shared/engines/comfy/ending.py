"""How a run ends: its files received and checked, or the reason why there are none."""

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import assert_never

from shared.comfy.client import ComfyClient
from shared.comfy.errors import FileGone, PromptRefused, ServerFaulty, ServerUnreachable
from shared.comfy.graph import Graph
from shared.comfy.graph_check import output_nodes
from shared.comfy.records import Interrupted, NodeFailure, Outcome, ServerFile, ServerText, Succeeded
from shared.comfy.submission import Prompt
from shared.engines.base import OutputRejected, RunLost, Ticket
from shared.engines.comfy.spool import Spool
from shared.engines.comfy.tickets import TicketDetails
from shared.engines.comfy.wording import OUT_OF_MEMORY, failure_code, failure_message
from shared.jobs.events import Cancelled, Completed, Failed, Output, TerminalEvent

__all__ = ["Ending"]

_NONCE = "safelight_nonce"


class Ending:
    """A run that the server has forgotten is lost, and never pieced together from files that bear its names.

    A save node writes the pictures of a batch one by one under their final names, and nothing but
    the history tells how many there should be, or whether another node failed after them: what a
    killed run left cannot be told from a finished one. Repeating the run is certain.
    """

    def __init__(self, *, client: ComfyClient, spool: Spool, now: Callable[[], datetime]) -> None:
        self._client = client
        self._spool = spool
        self._now = now

    async def event(self, ticket: Ticket, details: TicketDetails, outcome: Outcome) -> TerminalEvent:
        """The terminal event for an outcome; `Completed` only once every file is here and whole."""
        match outcome:
            case Interrupted():
                return Cancelled(job_id=ticket.job_id, attempt=ticket.attempt, at=self._now())
            case NodeFailure():
                return await self._failure(ticket, outcome)
            case Succeeded():
                try:
                    outputs = await self._outputs(ticket, details, outcome)
                except OutputRejected as error:
                    return self._failed(ticket, error.code, error.message, retryable=False)
                return Completed(
                    job_id=ticket.job_id, attempt=ticket.attempt, at=self._now(), outputs=outputs
                )
            case _:
                assert_never(outcome)

    async def receive_again(self, ticket: Ticket, details: TicketDetails, output: Output) -> None:
        """Fetch one output anew, for a process whose spool does not have it. Raises RunLost."""
        outcome = await self._client.outcome(ticket.run_id)
        if not isinstance(outcome, Succeeded):
            raise RunLost("the ComfyUI server no longer knows this run", run_id=ticket.run_id)
        await self._outputs(ticket, details, outcome)
        if not self._spool.has(ticket.run_id, output):
            raise RunLost(f"the run has no output {output.name}", run_id=ticket.run_id)

    async def _outputs(
        self, ticket: Ticket, details: TicketDetails, outcome: Succeeded
    ) -> tuple[Output, ...]:
        try:
            return await self._received(ticket.run_id, _wanted(details, outcome))
        except FileGone:
            saved = await self._saved_again(ticket, details)
        try:
            return await self._received(ticket.run_id, _wanted(details, saved))
        except FileGone as error:
            raise OutputRejected(error.message, **error.details) from error

    async def _received(self, run_id: str, found: list[ServerFile | ServerText]) -> tuple[Output, ...]:
        return tuple([await self._spool.receive(run_id, item) for item in found])

    async def _saved_again(self, ticket: Ticket, details: TicketDetails) -> Succeeded:
        """A cached result names files that were deleted since: make its output nodes save once more.

        The id of this second prompt follows from the first, so that any process finds it again.
        """
        again = str(uuid.uuid5(uuid.UUID(ticket.run_id), "saved again"))
        if not await self._client.is_known(again):
            catalogue = await self._client.catalogue()
            graph = _with_nonce(details.graph, output_nodes(details.graph, catalogue), again)
            try:
                await self._client.submit(Prompt(id=again, client_id=details.client_id, graph=graph))
            except PromptRefused as error:
                raise OutputRejected("the server has deleted the files of this run") from error
        async with contextlib.aclosing(self._client.follow(again, client_id=details.client_id)) as news:
            async for item in news:
                if isinstance(item, Succeeded):
                    return item
        raise OutputRejected("the server has deleted the files of this run, and could not make them again")

    async def _failure(self, ticket: Ticket, failure: NodeFailure) -> Failed:
        """After running out of memory the server is asked to let go of what it holds."""
        code = failure_code(failure)
        if code == OUT_OF_MEMORY:
            with contextlib.suppress(ServerUnreachable, ServerFaulty):
                await self._client.free_memory()
        return self._failed(ticket, code, failure_message(failure), retryable=code == OUT_OF_MEMORY)

    def _failed(self, ticket: Ticket, code: str, message: str, *, retryable: bool) -> Failed:
        return Failed(
            job_id=ticket.job_id,
            attempt=ticket.attempt,
            at=self._now(),
            code=code,
            message=message,
            retryable=retryable,
        )


def _wanted(details: TicketDetails, outcome: Succeeded) -> list[ServerFile | ServerText]:
    """Everything, or what the declared output nodes made; temporary files are none of theirs."""
    if details.outputs is None:
        return list(outcome.outputs)
    found = [item for item in outcome.outputs if item.node in details.outputs]
    for node in details.outputs:
        if not any(item.node == node for item in found):
            raise OutputRejected(f"the workflow delivered nothing from node {node}", node=node)
    return found


def _with_nonce(graph: Graph, nodes: tuple[str, ...], nonce: str) -> Graph:
    """An input that the node does not have is not passed to it, and yet changes its cache key."""
    changed = dict(graph.nodes)
    for node_id in nodes:
        node = changed[node_id]
        changed[node_id] = replace(node, inputs=MappingProxyType({**node.inputs, _NONCE: nonce}))
    return Graph(MappingProxyType(changed))
