"""Writes down what every run goes through: of the attempts of a worker that are as far, together.

A transaction costs a database as much for one job as for ten.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence

from cloud.repositories.attempt import AttemptRef, NewTicket
from cloud.services.attempts import Attempts, Made, Place, require_held
from cloud.services.recipes import Making
from cloud.worker.convoy import Convoy
from shared.engines.base import Ticket
from shared.jobs.events import Output

__all__ = ["Clerk"]

_Held = Collection[AttemptRef]


class Clerk:
    """Its steps are those of Attempts, for one attempt each. All raise Fenced, and wait until it works."""

    def __init__(self, attempts: Attempts) -> None:
        self._tickets = Convoy[NewTicket, _Held](attempts.store_tickets)
        self._begun = Convoy[tuple[AttemptRef, Place], _Held](
            lambda begun: attempts.mark_all_running(dict(begun))
        )
        self._saving = Convoy[tuple[AttemptRef, Collection[Output]], _Held](
            lambda ended: attempts.begin_saving_all(dict(ended))
        )
        self._made = Convoy[tuple[AttemptRef, Made], _Held](lambda made: attempts.complete_all(dict(made)))

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Until the end of the block."""
        convoys = (self._tickets, self._begun, self._saving, self._made)
        tasks = [asyncio.create_task(convoy.run(), name="convoy") for convoy in convoys]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def store_ticket(
        self, ref: AttemptRef, ticket: Ticket, *, server: str | None, version: str | None
    ) -> None:
        new = NewTicket(
            ref=ref, engine=ticket.engine, server=server, ticket=ticket.to_json(), version=version
        )
        require_held(ref, await self._tickets.join(new))

    async def mark_running(self, ref: AttemptRef, *, engine: str, server: str | None) -> None:
        require_held(ref, await self._begun.join((ref, Place(engine, server))))

    async def begin_saving(self, ref: AttemptRef, outputs: Collection[Output]) -> None:
        """Raises BeingDeleted."""
        require_held(ref, await self._saving.join((ref, outputs)))

    async def complete(self, ref: AttemptRef, outputs: Sequence[Output], *, making: Making) -> None:
        require_held(ref, await self._made.join((ref, Made(outputs, making))))
