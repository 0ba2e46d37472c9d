"""Attempts at jobs, as their repositories give and take them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cloud.repositories.jobs import UNKNOWN_ORIGIN, InputName, Origin
from cloud.repositories.lanes import Lane
from shared.errors import JsonValue

__all__ = [
    "AttemptRef",
    "Claim",
    "Failure",
    "Held",
    "HeldByRef",
    "LostAttempt",
    "NewTicket",
    "PreviousAttempt",
    "Workplace",
]


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """One try at a job. Whoever writes names it, and writes nothing once another has begun."""

    job_id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousAttempt:
    """An earlier try; its ticket, if it got that far, finds what it left running or finished.
    `reason` is the code of what it came to nothing for."""

    number: int
    worker: str
    server: str | None
    ticket: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job as a worker takes it. An `alone` one must not share the worker with others. `graph` is JSON,
    where there is one instead of a preset."""

    ref: AttemptRef
    lane: Lane
    preset_version: str
    preset_digest: str
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[InputName, ...]]
    alone: bool
    graph: str | None = None
    origin: Origin = UNKNOWN_ORIGIN
    previous: tuple[PreviousAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Workplace:
    engine: str
    engine_version: str | None
    server_class: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """The job behind an attempt that still holds it; `hand_back` if an idle server would take it."""

    ref: AttemptRef
    lane: Lane
    cancel_requested: bool
    price: int
    batch_id: str | None
    hand_back: bool = False
    started_at: datetime | None = None


HeldByRef = Mapping[AttemptRef, Held]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """Where an attempt runs, and its ticket as JSON. `version` is that of an engine without a server;
    servers told theirs."""

    ref: AttemptRef
    engine: str
    server: str | None
    ticket: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """`retryable` says whether the user may find that a new job works."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAttempt:
    """An attempt whose lease ran out. `begun` is true once its execution had begun; `suspects` are
    the attempts that had, when their worker went."""

    held: Held
    worker: str
    crashes: int
    begun: bool
    suspects: int
