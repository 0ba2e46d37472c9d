"""A job as the journal holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePath

from shared.comfy.graph import Graph
from shared.engines.base import Ticket
from shared.errors import JsonValue
from shared.jobs.events import Output
from shared.jobs.state import JobState

__all__ = [
    "DeliveredOutput",
    "Delivery",
    "EngineChoice",
    "GraphRecipe",
    "Job",
    "JobError",
    "JobInput",
    "NewJob",
    "OutputPolicy",
    "PresetRecipe",
    "Recipe",
]


class Delivery(StrEnum):
    """Where the outputs of a completed job are on their way to the user."""

    PENDING = "pending"
    HELD = "held"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    BLOCKED = "blocked"


class EngineChoice(StrEnum):
    AUTO = "auto"
    BUILTIN = "builtin"
    COMFY = "comfy"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInput:
    """A file to work on. `slot` is the preset's input, or a graph's node with `field` its input.

    `bytes` and `modified_ns` are those of the moment the digest was taken.
    """

    slot: str
    path: Path
    digest: str
    name: str
    bytes: int
    modified_ns: int
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetRecipe:
    """`values` are resolved; `digest` is the preset version's."""

    preset_id: str
    version: str
    digest: str
    values: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class GraphRecipe:
    graph: Graph


Recipe = PresetRecipe | GraphRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPolicy:
    """How outputs are written. `suffix` None: the preset's format, else the source's."""

    suffix: str | None = None
    quality: int | None = None
    drop_gps: bool = False


@dataclass(frozen=True, slots=True)
class JobError:
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredOutput:
    """An output and the file chosen for it; `file_digest` is that of the bytes as delivered."""

    output: Output
    path: Path | None = None
    file_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """One primary file is one job; its input comes first in `inputs`.

    `key` makes the submission idempotent. `batch` names what was submitted together: a hot
    folder's id, or one command. Outputs go below `out_folder`, where `relative_path` of the
    source gives the subfolder and the name. `lineage` are the hot folders that the source came
    through, oldest first, this job's own included.
    """

    key: str
    batch: str
    recipe: Recipe
    inputs: tuple[JobInput, ...]
    out_folder: Path
    relative_path: PurePath
    source: Path
    source_name: str
    source_digest: str
    output_policy: OutputPolicy = field(default_factory=OutputPolicy)
    engine: EngineChoice = EngineChoice.AUTO
    server: str | None = None
    ledger_key: str | None = None
    lineage: tuple[str, ...] = ()
    retry_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`engine` is the one that took the job; `holder` the process that looks after it."""

    id: str
    seq: int  # rises with submission
    order: NewJob
    state: JobState
    created_at: datetime
    attempt: int = 0
    engine: str | None = None
    ticket: Ticket | None = None
    delivery: Delivery = Delivery.PENDING
    delivery_reason: str | None = None
    outputs: tuple[DeliveredOutput, ...] = ()
    error: JobError | None = None
    holder: str | None = None
    cancel_requested: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
