"""What is kept no longer."""

from datetime import timedelta

from cloud.repositories.database import Database

__all__ = ["EVENTS_KEPT", "Retention"]

EVENTS_KEPT = timedelta(days=7)


class Retention:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def forget_old_events(self) -> int:
        """How many were forgotten."""
        return await self._database.write(lambda unit: unit.events.forget_older(EVENTS_KEPT))
