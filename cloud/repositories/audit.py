"""What operators did: written with the deed, read by operators, changed by nobody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from cloud.repositories.now import Clock
from cloud.tables.audit import AUDIT_ENTRIES
from shared.errors import JsonValue

__all__ = ["AuditEntry", "AuditRows"]

_E = AUDIT_ENTRIES.c


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, JsonValue]
    request_id: str | None


class AuditRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(
        self,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, JsonValue],
        *,
        request_id: str | None = None,
    ) -> None:
        """`details` hold no secrets."""
        row = {
            "actor": actor,
            "action": action,
            "subject": subject,
            "details": dict(details),
            "request_id": request_id,
        }
        self._connection.execute(insert(AUDIT_ENTRIES).values(at=self._clock.now(), **row))

    def newest(self, limit: int) -> tuple[AuditEntry, ...]:
        rows = self._connection.execute(select(AUDIT_ENTRIES).order_by(_E.id.desc()).limit(limit))
        return tuple(
            AuditEntry(
                at=row.at,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                details=row.details,
                request_id=row.request_id,
            )
            for row in rows
        )
