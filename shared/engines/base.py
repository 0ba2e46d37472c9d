"""The protocol that every engine keeps, and the values that cross it."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from shared.comfy.graph import Graph
from shared.errors import FatalError, JsonValue, TransientError, UsageError
from shared.jobs.events import JobEvent, Output
from shared.presets.bundle import Preset

__all__ = [
    "Capabilities",
    "Engine",
    "EngineUnavailable",
    "GraphInput",
    "GraphWork",
    "InputFile",
    "InputsGone",
    "OutputRejected",
    "PresetWork",
    "RunLost",
    "Ticket",
    "Work",
    "WorkRefused",
]


class WorkRefused(UsageError):
    """The engine will not run this; `details` name the node and input, or the field."""

    code = "refused"


class EngineUnavailable(TransientError):
    """The engine cannot be reached just now."""

    code = "engine_unavailable"


class InputsGone(EngineUnavailable):
    """The engine answers, but has lost files that were staged there: to prepare again sends them."""

    code = "inputs_gone"


class RunLost(TransientError):
    """The engine no longer knows the run: it may be started again."""

    code = "lost"


class OutputRejected(FatalError):
    """The engine said it was done, but a file is empty, truncated, too large or not what it claims."""

    code = "bad_output"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to work on. `name` is the user's file name, for messages and metadata, never a path. A
    `sealed` one is written by nobody any more: another name of it is as good as a copy."""

    path: Path
    digest: str
    name: str
    sealed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetWork:
    """One preset version on named inputs; `values` are already resolved and validated."""

    job_id: str
    attempt: int = 1
    preset: Preset
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[InputFile, ...]]


@dataclass(frozen=True, slots=True)
class GraphInput:
    """The file that stands in input `input` of node `node`."""

    node: str
    input: str
    file: InputFile


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphWork:
    """A raw graph and the files that its loader nodes name."""

    job_id: str
    attempt: int = 1
    graph: Graph
    inputs: tuple[GraphInput, ...] = ()


Work = PresetWork | GraphWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Everything needed to start a run, and to find it again from another process.

    `run_id` is the run's own id, chosen by us before anything is sent. `details` belong to the
    engine; they hold no secrets.
    """

    engine: str
    run_id: str
    job_id: str
    attempt: int
    details: Mapping[str, JsonValue] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Ticket":
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can run. None means "not limited" or "not known"."""

    node_classes: frozenset[str] | None = None
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # folder → file names
    version: str | None = None


class Engine(Protocol):
    """Runs work in steps that survive the death of the caller.

    prepare → (caller stores the ticket) → start → follow → fetch → forget. Several tickets may
    be open at once. All methods may be called from a process other than the one that prepared.
    """

    @property
    def name(self) -> str: ...

    async def capabilities(self) -> Capabilities:
        """Raises EngineUnavailable."""
        ...

    async def prepare(self, work: Work) -> Ticket:
        """Check the work, render its graph and stage its inputs by digest; start nothing.

        Raises WorkRefused with the node and input, or the field, in `details`; EngineUnavailable.
        """
        ...

    async def start(self, ticket: Ticket) -> None:
        """Begin the run. Starting a run that already began or ended is no error and no second run.

        Raises WorkRefused, EngineUnavailable.
        """
        ...

    def follow(self, ticket: Ticket) -> AsyncIterator[JobEvent]:
        """Events of the run from now on, ending with exactly one terminal event.

        `Completed` comes only after every output was received and checked. Raises RunLost when
        the engine no longer knows the run, EngineUnavailable when it cannot be reached for long.
        """
        ...

    async def cancel(self, ticket: Ticket) -> None:
        """Stop the run; return when it is certainly over. It may have completed meanwhile."""
        ...

    async def fetch(self, ticket: Ticket, output: Output, sink: BinaryIO) -> None:
        """Write the output's checked bytes into `sink`. Raises RunLost, OutputRejected."""
        ...

    async def forget(self, ticket: Ticket) -> None:
        """Drop what the engine keeps for this run; called once its outputs are safe."""
        ...

    async def aclose(self) -> None: ...
