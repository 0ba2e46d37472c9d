"""Tickets that open streams, on the wire."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

__all__ = ["StreamTicket"]


class StreamTicket(BaseModel):
    """Good for one WebSocket, opened with these `protocols` before `expires_at`."""

    model_config = ConfigDict(frozen=True)

    ticket: str
    protocols: list[str]
    expires_at: datetime
