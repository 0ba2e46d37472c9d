"""What a ticket of this engine carries: all that another process needs to find or start the run."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.comfy.graph import Graph, parse_graph
from shared.engines.base import RunLost, Ticket, Work
from shared.errors import JsonValue

__all__ = ["TicketDetails", "make_ticket", "read_ticket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDetails:
    """`outputs` are the nodes whose files are wanted; None means all."""

    server: str
    client_id: str
    graph: Graph
    outputs: tuple[str, ...] | None


def make_ticket(*, engine: str, run_id: str, work: Work, details: TicketDetails) -> Ticket:
    return Ticket(
        engine=engine,
        run_id=run_id,
        job_id=work.job_id,
        attempt=work.attempt,
        details={
            "server": details.server,
            "client_id": details.client_id,
            "graph": details.graph.to_json(),
            "outputs": None if details.outputs is None else list(details.outputs),
        },
    )


def read_ticket(ticket: Ticket) -> TicketDetails:
    """Raises RunLost for a ticket that this engine cannot have made."""
    details: Mapping[str, JsonValue] = ticket.details
    server, client_id, outputs = details.get("server"), details.get("client_id"), details.get("outputs")
    if not isinstance(server, str) or not isinstance(client_id, str):
        raise RunLost("this is no ticket of a ComfyUI run", run_id=ticket.run_id)
    return TicketDetails(
        server=server,
        client_id=client_id,
        graph=parse_graph(details.get("graph")),
        outputs=tuple(str(node) for node in outputs) if isinstance(outputs, list) else None,
    )
