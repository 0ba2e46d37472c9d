"""What happens with every end of a job, in the transaction that ends it."""

from dataclasses import dataclass
from typing import assert_never

from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from shared.jobs.events import Cancelled, Completed, Expired, Failed, TerminalEvent
from shared.jobs.state import JobState

__all__ = ["Ending", "Endings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A job's end as its last event tells it; `lane` is where it had waited."""

    lane: Lane
    event: TerminalEvent

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
    """The one place that every end of a job passes, whoever ends it."""

    def note(self, unit: Unit, ending: Ending) -> None:
        """In the transaction that changed the job's state."""
        unit.events.add(ending.account_id, ending.event)
