"""Tickets that open one stream each: for browsers, whose WebSockets carry no keys."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from cloud.errors import SignInNeeded
from cloud.repositories.database import Database
from cloud.services.callers import Caller, Scope
from cloud.services.keys import caller_of
from shared.api.stream_tickets import StreamTicket

__all__ = ["PROTOCOL", "TICKET_PROTOCOL", "StreamTickets"]

PROTOCOL = "safelight.v1"
TICKET_PROTOCOL = "safelight.ticket."
_VALID_FOR = timedelta(seconds=30)


class StreamTickets:
    def __init__(self, *, database: Database, utcnow: Callable[[], datetime]) -> None:
        self._database = database
        self._utcnow = utcnow

    async def issue(self, caller: Caller) -> StreamTicket:
        caller.require(Scope.READ)
        text = secrets.token_urlsafe(32)
        await self._database.write(
            lambda unit: unit.stream_tickets.add(_digest(text), caller.key_id, _VALID_FOR)
        )
        return StreamTicket(
            ticket=text,
            protocols=[PROTOCOL, TICKET_PROTOCOL + text],
            expires_at=self._utcnow() + _VALID_FOR,
        )

    async def use(self, text: str) -> Caller:
        """Whoever got the ticket, if their key is still good. Raises SignInNeeded, also the second time."""
        key = await self._database.write(lambda unit: unit.stream_tickets.take(_digest(text)))
        if key is None or not key.usable:
            raise SignInNeeded("this ticket was used or has expired; ask for another")
        return caller_of(key)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
