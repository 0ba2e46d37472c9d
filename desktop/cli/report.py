"""What a command says while its jobs run: data on stdout, talk on stderr."""

import json
import os
import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from desktop.store.job import Delivery, Job
from shared.api.events import dump_event
from shared.engines.base import EngineUnavailable
from shared.jobs.events import Cancelled, Completed, Expired, Failed, JobEvent
from shared.jobs.events import Progress as ProgressEvent
from shared.legible import legible

__all__ = ["JsonReport", "Report", "TextReport", "open_report", "undelivered"]


class Report(Protocol):
    @property
    def failed(self) -> int:
        """How many jobs did not complete."""
        ...

    @property
    def only_engine_missing(self) -> bool:
        """Whether all that failed did so because no engine answered."""
        ...

    def add(self) -> None:
        """One more job is under way."""
        ...

    def tell(self, source_name: str, event: JobEvent, *, problem: str | None = None) -> None:
        """`problem` says why a completed job could not be delivered."""
        ...

    def close(self) -> None: ...


def open_report(*, as_json: bool) -> Report:
    return JsonReport() if as_json else TextReport()


def undelivered(job: Job, event: JobEvent) -> str | None:
    """Why a job that has just completed is not delivered; None if it is."""
    if isinstance(event, Completed) and job.delivery is not Delivery.DELIVERED:
        return job.delivery_reason or "the outputs wait to be delivered"
    return None


class _Tally:
    def __init__(self) -> None:
        self._completed = 0
        self._failures: list[str] = []

    @property
    def failed(self) -> int:
        return len(self._failures)

    @property
    def only_engine_missing(self) -> bool:
        return set(self._failures) == {EngineUnavailable.code} and self._completed == 0

    def _count(self, event: JobEvent) -> None:
        match event:
            case Completed():
                self._completed += 1
            case Failed():
                self._failures.append(event.code)
            case Cancelled() | Expired():
                self._failures.append("")
            case _:
                return


class JsonReport(_Tally):
    """One event per line on stdout; ASCII, so that names that are no text come through."""

    def add(self) -> None:
        return

    def tell(self, source_name: str, event: JobEvent, *, problem: str | None = None) -> None:
        self._count(event)
        sys.stdout.write(json.dumps(dump_event(event)) + "\n")
        sys.stdout.flush()
        if problem is not None:
            sys.stderr.write(
                f"safelight: {legible(source_name)} is done but not delivered: {legible(problem)}\n"
            )

    def close(self) -> None:
        return


class TextReport(_Tally):
    """A bar on a terminal; the delivered paths on stdout; one line on stderr for each failure."""

    def __init__(self) -> None:
        super().__init__()
        self._total = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("developing", total=None)
        self._bar.start()

    def add(self) -> None:
        self._total += 1
        self._bar.update(self._task, total=self._total)

    def tell(self, source_name: str, event: JobEvent, *, problem: str | None = None) -> None:
        self._count(event)
        self._bar.update(self._task, completed=self._completed + self.failed)
        match event:
            case Completed():
                for output in event.outputs:
                    if output.path is not None:
                        _write_path(output.path)
                if problem is not None:
                    self._complain(f"{source_name} is done but not delivered: {problem}")
            case Failed():
                named = event.message.startswith(source_name)
                self._complain(event.message if named else f"{source_name}: {event.message}")
            case ProgressEvent():
                self._bar.update(self._task, description=legible(source_name))
            case _:
                return

    def close(self) -> None:
        self._bar.stop()

    def _complain(self, text: str) -> None:
        self._bar.console.print(f"safelight: {legible(text)}", markup=False, highlight=False, soft_wrap=True)


def _write_path(path: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    sys.stdout.buffer.flush()
