"""What is on disk of one run: its request, its input files, its events, its results.

A run is known while its folder is there, over once its last event is terminal, and alive while a
process holds its lock. Events are lines of JSON, so that any process can follow.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.comfy.graph import Graph, parse_graph
from shared.engines.base import Ticket
from shared.engines.builtin.process_lock import ProcessLock
from shared.errors import JsonValue
from shared.jobs.events import (
    Cancelled,
    Completed,
    Failed,
    JobEvent,
    Output,
    OutputKind,
    Progress,
    Queued,
    Started,
    TerminalEvent,
)

__all__ = ["EventReader", "Request", "RunFolder", "is_terminal"]

_RECORDED = (Queued, Started, Progress, Completed, Failed, Cancelled)
_EVENTS = "events.jsonl"
_ENVELOPE = ("job_id", "attempt", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be run. `files` are names in the run's input folder, by node and input.

    `wanted` are the nodes whose files count; None means all. `memory_bytes` is an estimate.
    """

    job_id: str
    attempt: int
    graph: Graph
    files: Mapping[tuple[str, str], str]
    wanted: tuple[str, ...] | None
    memory_bytes: int

    def to_json(self) -> str:
        data: dict[str, JsonValue] = {
            "job_id": self.job_id,
            "attempt": self.attempt,
            "graph": self.graph.to_json(),
            "files": [[node, name, file] for (node, name), file in self.files.items()],
            "wanted": None if self.wanted is None else list(self.wanted),
            "memory_bytes": self.memory_bytes,
        }
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> "Request":
        data = json.loads(text)
        return cls(
            job_id=data["job_id"],
            attempt=data["attempt"],
            graph=parse_graph(data["graph"]),
            files={(node, name): file for node, name, file in data["files"]},
            wanted=None if data["wanted"] is None else tuple(data["wanted"]),
            memory_bytes=data["memory_bytes"],
        )


def is_terminal(event: JobEvent) -> bool:
    return isinstance(event, TerminalEvent)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Input files lie in `path` itself; their names begin with a digest."""

    path: Path

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    def is_known(self) -> bool:
        return (self.path / "request.json").is_file()

    def lock(self) -> ProcessLock:
        return ProcessLock(self.path / "owner.lock")

    def write_request(self, request: Request) -> None:
        (self.path / "request.json").write_text(request.to_json(), encoding="utf-8")

    def read_request(self) -> Request:
        return Request.from_json((self.path / "request.json").read_text(encoding="utf-8"))

    def ask_to_cancel(self) -> None:
        (self.path / "cancel").touch()

    def is_cancel_asked(self) -> bool:
        return (self.path / "cancel").exists()

    def begin_anew(self) -> None:
        """Drop what an earlier process left when it died in the middle of this run."""
        (self.path / _EVENTS).unlink(missing_ok=True)
        shutil.rmtree(self.outputs, ignore_errors=True)

    def append(self, event: JobEvent) -> None:
        """One write, so that readers of other processes see whole lines; the last may be cut."""
        line = json.dumps(_record(event)).encode() + b"\n"
        handle = os.open(self.path / _EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def end(self, ticket: Ticket) -> TerminalEvent | None:
        """How the run ended, if it has."""
        last = list(EventReader(self, ticket).read())[-1:]
        return last[0] if last and isinstance(last[0], TerminalEvent) else None

    def output_path(self, output: Output) -> Path:
        return self.outputs / f"{output.digest}.bin"

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class EventReader:
    """Reads the events of a run as they come; ends with the first terminal one."""

    def __init__(self, folder: RunFolder, ticket: Ticket) -> None:
        self._path = folder.path / _EVENTS
        self._ticket = ticket
        self._offset = 0

    def read(self) -> Iterator[JobEvent]:
        """Whole lines since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].splitlines():
            event = _event(json.loads(line), self._ticket)
            yield event
            if is_terminal(event):
                return


def _record(event: JobEvent) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(event).items() if name not in _ENVELOPE}
    return {"event": type(event).__name__, "at": event.at.isoformat(), **fields}


def _event(record: dict[str, Any], ticket: Ticket) -> JobEvent:
    kinds = {kind.__name__: kind for kind in _RECORDED}
    kind = kinds[record.pop("event")]
    at = datetime.fromisoformat(record.pop("at")).astimezone(UTC)
    if kind is Completed:
        record["outputs"] = tuple(_output(output) for output in record["outputs"])
    return kind(job_id=ticket.job_id, attempt=ticket.attempt, at=at, **record)


def _output(record: dict[str, Any]) -> Output:
    return Output(**{**record, "kind": OutputKind(record["kind"])})
