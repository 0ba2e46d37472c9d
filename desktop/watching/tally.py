"""What became of a hot folder's files. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from desktop.store.job import Delivery
from desktop.store.ledger import CurrentJob
from shared.jobs.state import JobState

__all__ = ["Tally", "tally"]

_ENDED_BADLY = {JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Files by what became of them; `waiting` ones are still written to, or wait for space or an engine."""

    done: int = 0
    failed: int = 0
    waiting: int = 0

    @property
    def is_good(self) -> bool:
        return self.failed == 0 and self.waiting == 0


def tally(jobs: Iterable[CurrentJob], *, there: Collection[str], waiting: int) -> Tally:
    """`there` are the paths in the folder; `waiting` those of them that are not even journalled."""
    done = failed = 0
    for job in jobs:
        if job.path not in there:
            continue
        if job.state in _ENDED_BADLY or job.delivery is Delivery.REJECTED:
            failed += 1
        elif job.state is None or (
            job.state is JobState.COMPLETED and job.delivery in {Delivery.DELIVERED, Delivery.HELD}
        ):
            done += 1
        else:
            waiting += 1
    return Tally(done=done, failed=failed, waiting=waiting)
