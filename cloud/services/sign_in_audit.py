"""Keys and tickets that were refused, in the audit: enough to see that somebody tries, and never the key."""

import contextlib

from cloud.clients.rate_counter import RateCounter
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.key_text import key_digest, looks_right
from shared.errors import JsonValue, TransientError
from shared.logs import request_id

__all__ = ["SignInAudit"]

_PER_NEIGHBOURHOOD = 1  # a minute each: whoever tries a thousand keys does not fill the database
_ALTOGETHER = 60


class SignInAudit:
    def __init__(self, *, database: Database, counter: RateCounter) -> None:
        self._database = database
        self._counter = counter

    async def note(self, neighbourhood: str, key: str | None) -> None:
        """`key` is what was sent as one; of a key of ours that was revoked or has expired, its id is kept."""
        for name, limit in ((f"audited:{neighbourhood}", _PER_NEIGHBOURHOOD), ("audited", _ALTOGETHER)):
            if not (await self._counter.take(name, limit)).allowed:
                return
        digest = key_digest(key) if key is not None and looks_right(key) else None
        asked = request_id()

        def work(unit: Unit) -> None:
            known = None if digest is None else unit.keys.find(digest)
            details: dict[str, JsonValue] = {"account": None if known is None else known.account_id}
            subject = "" if known is None else known.id
            unit.audit.add(f"address {neighbourhood}", "sign_in.refused", subject, details, request_id=asked)

        with contextlib.suppress(TransientError):  # the log has it
            await self._database.write(work)
