"""Jobs whose picture did not decode, and which fail only if their file does not change in time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from desktop.store.job import Job, JobError

__all__ = ["Reprieves", "Term"]

Term = Callable[[Job, JobError], float]


class Reprieves:
    """Hot folders say how many seconds a job of theirs may wait, and which file has changed."""

    def __init__(self) -> None:
        self._terms: dict[str, Term] = {}  # by batch
        self._waiting: dict[str, asyncio.Future[bool]] = {}  # by ledger key

    def open(self, batch: str, term: Term) -> Callable[[], None]:
        """Let jobs of this batch wait; returns what ends that."""
        self._terms[batch] = term

        def close() -> None:
            self._terms.pop(batch, None)

        return close

    def has(self, key: str) -> bool:
        return key in self._waiting

    async def ends_well(
        self, job: Job, error: JobError, *, has_changed: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Whether the file was changed or taken away before the term was over, or `has_changed` already."""
        term, key = self._terms.get(job.order.batch), job.order.ledger_key
        if term is None or key is None:
            return False
        changed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[key] = changed
        try:
            seconds = term(job, error)
            if await has_changed():
                return True
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await changed
            return False
        finally:
            del self._waiting[key]

    def end(self, key: str) -> bool:
        """The file has changed or is gone; False where nobody waits for that."""
        changed = self._waiting.get(key)
        if changed is None:
            return False
        if not changed.done():
            changed.set_result(True)
        return True
