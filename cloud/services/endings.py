"""What happens with every end of a job, in the transaction that ends it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import assert_never

from cloud.clients.metrics import Metrics
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.repositories.waiting import EndedJob
from cloud.services.credits import settle
from cloud.services.webhook_messages import batch_message, job_message, tell
from shared.failpoints import failpoint
from shared.jobs.batch import BatchCompleted
from shared.jobs.events import Cancelled, Completed, Expired, Failed, TerminalEvent
from shared.jobs.state import JobState

__all__ = ["Ending", "Endings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A job's end as its last event tells it; `lane` is where it had waited."""

    lane: Lane
    event: TerminalEvent
    price: int
    batch_id: str | None
    started_at: datetime | None = None  # when execution began

    @classmethod
    def of(cls, job: EndedJob, event: TerminalEvent) -> "Ending":
        """Of a job that no worker had."""
        return cls(lane=job.lane, event=event, price=job.price, batch_id=job.batch_id)

    @property
    def job_id(self) -> str:
        return self.event.job_id

    @property
    def account_id(self) -> str:
        return self.lane.account_id

    @property
    def attempt(self) -> int:
        """0 if no worker ever had the job."""
        return self.event.attempt

    @property
    def code(self) -> str | None:
        """Of what failed."""
        return self.event.code if isinstance(self.event, Failed) else None

    @property
    def seconds(self) -> float | None:
        """Of its execution, if that had begun."""
        return None if self.started_at is None else (self.event.at - self.started_at).total_seconds()

    @property
    def state(self) -> JobState:
        match self.event:
            case Completed():
                return JobState.COMPLETED
            case Failed():
                return JobState.FAILED
            case Cancelled():
                return JobState.CANCELLED
            case Expired():
                return JobState.EXPIRED
            case _:
                assert_never(self.event)


class Endings:
    """The one place that every end of a job passes, whoever ends it.

    The metrics are no part of the transaction: what it had to try twice is counted twice.
    """

    def __init__(self, *, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()

    def note(self, unit: Unit, ending: Ending) -> None:
        """In the transaction that changed the job's state."""
        self.note_all(unit, (ending,))

    def note_all(self, unit: Unit, endings: Sequence[Ending]) -> None:
        """Of several jobs, in the order in which the repositories gave them."""
        for account_id, ended in groupby(endings, key=lambda ending: ending.account_id):
            _note_of_account(unit, account_id, tuple(ended))
        unit.run_times.add_of([ending.job_id for ending in endings if ending.state is JobState.COMPLETED])
        for ending in endings:
            self._metrics.job_ended(
                preset=ending.lane.preset,
                outcome=ending.state,
                code=ending.code,
                seconds=ending.seconds,
            )
            if ending.price:
                settle(unit, ending.job_id, ending.state)
                failpoint("ending.settled")
        for batch_id, ended in groupby(endings, key=lambda ending: ending.batch_id):
            if batch_id is not None:
                _count(unit, batch_id, tuple(ended))


def _note_of_account(unit: Unit, account_id: str, endings: Sequence[Ending]) -> None:
    unit.events.add_all(account_id, [ending.event for ending in endings])
    if listening := unit.webhooks.listening(account_id):
        for ending in endings:
            message = job_message(
                ending.event, preset=ending.lane.preset, batch_id=ending.batch_id, price=ending.price
            )
            tell(unit, listening, message)
        failpoint("ending.told")


def _count(unit: Unit, batch_id: str, endings: Sequence[Ending]) -> None:
    """With the last of a batch, its own event."""
    batch = unit.batches.count(batch_id, Counter(ending.state for ending in endings))
    if batch.finished_at is None:
        return
    last = endings[-1]
    event = BatchCompleted(
        batch_id=batch_id,
        job_id=last.job_id,
        at=last.event.at,
        total=batch.total,
        completed=batch.ended[JobState.COMPLETED],
        failed=batch.ended[JobState.FAILED],
        cancelled=batch.ended[JobState.CANCELLED],
        expired=batch.ended[JobState.EXPIRED],
    )
    unit.events.add_batch_completed(last.account_id, event)
    tell(unit, unit.webhooks.listening(last.account_id), batch_message(event))
