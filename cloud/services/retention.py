"""What is kept no longer."""

from datetime import timedelta

from cloud.repositories.database import Database

__all__ = ["ANSWERS_KEPT", "EVENTS_KEPT", "Retention"]

EVENTS_KEPT = timedelta(days=7)
_RUN_TIMES_KEPT = timedelta(days=90)
ANSWERS_KEPT = timedelta(days=7)


class Retention:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def forget_old_events(self) -> int:
        """How many were forgotten."""
        return await self._database.write(lambda unit: unit.events.forget_older(EVENTS_KEPT))

    async def forget_old_answers(self) -> int:
        """Of submissions: an Idempotency-Key that comes again after that long makes a new job."""
        return await self._database.write(lambda unit: unit.idempotency.forget_older(ANSWERS_KEPT))

    async def forget_run_times(self) -> int:
        """Prices are measured from what was lately."""
        return await self._database.write(lambda unit: unit.run_times.forget_older(_RUN_TIMES_KEPT))
