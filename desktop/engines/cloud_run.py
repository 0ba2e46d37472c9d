"""One run at the cloud as this machine sees it: its events, and what is noted about it here."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

from shared.engines.base import Ticket
from shared.jobs.events import JobEvent, Preview, Progress, Requeued, Started

__all__ = ["RunEvents", "RunNotes"]

_MARK_KEPT_S = 30 * 24 * 3600


class RunEvents:
    """Tells the events of a cloud job as those of one run.

    The cloud may try more than once; seen from here that is still the one attempt, whose start is
    told once and whose progress never falls.
    """

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._started = False
        self._fraction = 0.0

    def translated(self, event: JobEvent) -> JobEvent | None:
        """None where the event is of no concern outside the cloud."""
        match event:
            case Requeued():
                return None
            case Started() if self._started:
                return None
            case Started():
                self._started = True
                event = replace(event, engine=self._ticket.engine)
            case Progress() | Preview() if not self._started:
                return None  # it came by a shorter way than the start
            case Progress() if event.fraction < self._fraction:
                return None
            case Progress():
                self._fraction = event.fraction
            case _:
                pass
        return replace(event, job_id=self._ticket.job_id, attempt=self._ticket.attempt)


class RunNotes:
    """A folder for each run: outputs under their digests, and marks that outlive the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drop_old_marks()

    def output_path(self, ticket: Ticket, digest: str) -> Path:
        return self._run(ticket) / digest

    def note_cancelled(self, ticket: Ticket) -> None:
        self._mark(ticket, "cancelled")

    def is_cancelled(self, ticket: Ticket) -> bool:
        return self._has_mark(ticket, "cancelled")

    def note_forgotten(self, ticket: Ticket) -> None:
        """The outputs go with it."""
        shutil.rmtree(self._run(ticket), ignore_errors=True)
        self._mark(ticket, "forgotten")

    def is_forgotten(self, ticket: Ticket) -> bool:
        return self._has_mark(ticket, "forgotten")

    def _drop_old_marks(self) -> None:
        """No queue asks for a run this long after its end."""
        oldest = time.time() - _MARK_KEPT_S
        for mark in (self._folder / "marks").glob("*"):
            if mark.stat().st_mtime < oldest:
                mark.unlink(missing_ok=True)

    def _mark(self, ticket: Ticket, name: str) -> None:
        folder = self._folder / "marks"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{ticket.run_id}.{name}").touch()

    def _has_mark(self, ticket: Ticket, name: str) -> bool:
        return (self._folder / "marks" / f"{ticket.run_id}.{name}").exists()

    def _run(self, ticket: Ticket) -> Path:
        return self._folder / "runs" / ticket.run_id
