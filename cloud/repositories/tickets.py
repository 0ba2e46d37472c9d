"""Tickets of runs that may still be asked for."""

from sqlalchemy import Connection, select

from cloud.tables.job import ATTEMPTS, JOBS
from shared.jobs.state import JobState, is_terminal

__all__ = ["TicketRows"]

_LIVE = [state for state in JobState if not is_terminal(state)]


class TicketRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_live_jobs(self) -> tuple[str, ...]:
        """As they were stored: every attempt's, since a later one may adopt an earlier one's run."""
        rows = self._connection.execute(
            select(ATTEMPTS.c.ticket)
            .join(JOBS, JOBS.c.id == ATTEMPTS.c.job_id)
            .where(JOBS.c.state.in_(_LIVE), ATTEMPTS.c.ticket.is_not(None))
        )
        return tuple(row.ticket for row in rows)
