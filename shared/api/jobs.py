"""Jobs on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from shared.api.artifacts import Digest, Link
from shared.api.credits import Receipt
from shared.api.numbers import Whole
from shared.api.one_of import one_of
from shared.api.servers import ServerLabels
from shared.jobs.events import OutputKind, StageName
from shared.jobs.state import JobState
from shared.legible import plain_name

__all__ = [
    "AttemptEnd",
    "Job",
    "JobAccepted",
    "JobAttempt",
    "JobDetail",
    "JobFailure",
    "JobInput",
    "JobName",
    "JobOutput",
    "JobPage",
    "JobRequest",
    "PresetId",
    "Priority",
]

_NODES: dict[str, JsonValue] = {
    "additionalProperties": {
        "type": "object",
        "required": ["class_type"],
        "properties": {"class_type": {"type": "string", "minLength": 1}, "inputs": {"type": "object"}},
    }
}
JobName = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(plain_name)
]
PresetId = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def _is_absent(value: object) -> bool:
    return value is None


class JobInput(BaseModel):
    """A file to work on: an artifact by its `digest`, or a `url` from which it is fetched first, an
    https:// URL on the internet. `name` is the user's file name, for messages and metadata."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra=one_of({"digest": "string", "url": "string"})
    )

    digest: Annotated[Digest | None, Field(exclude_if=_is_absent)] = None
    url: Annotated[
        Annotated[str, Field(min_length=1, max_length=2000)] | None, Field(exclude_if=_is_absent)
    ] = None
    name: JobName

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.digest is None) == (self.url is None):
            raise ValueError("give the digest of an artifact, or a url to fetch it from")
        return self


class JobRequest(BaseModel):
    """One preset on named inputs. `values` not given are the preset's defaults.

    Accounts that may do so send a `graph`, in ComfyUI's API format, instead of a preset; each file that
    it loads is an input named after its place there, like `12.image`.

    With `preset_version`, the job is refused where the server has another version; with `max_price`,
    where it would cost more. It expires if it has waited for `expires_in_s`. Where the plan allows it,
    only GPU servers run it that carry all of its `labels`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra=one_of({"preset": "string", "graph": "object"})
    )

    preset: PresetId | None = None
    preset_version: Annotated[str, Field(max_length=50)] | None = None
    graph: (
        Annotated[dict[str, JsonValue], Field(min_length=1, max_length=1000, json_schema_extra=_NODES)] | None
    ) = None
    inputs: Annotated[dict[str, Annotated[list[JobInput], Field(max_length=64)]], Field(max_length=16)]
    values: Annotated[dict[str, JsonValue], Field(max_length=256)] = {}
    priority: Priority = Priority.NORMAL
    expires_in_s: Annotated[Whole, Field(ge=1, le=30 * 24 * 3600)] | None = None
    max_price: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None
    labels: Annotated[ServerLabels, Field(max_length=8)] = {}

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.preset is None) == (self.graph is None):
            raise ValueError("name a preset, or send a graph")
        if self.graph is not None and (self.values or self.preset_version is not None):
            raise ValueError("a graph has its values in itself; leave out values and preset_version")
        return self


class JobAccepted(BaseModel):
    """The answer to a submission; a repeat with the same Idempotency-Key is given the same one.

    `price`, in whole credits, is fixed from here on; `expected_s` is how long the run should take.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    state: JobState
    price: int
    expected_s: float | None
    status_url: str
    events_url: str


class JobOutput(BaseModel):
    """One finished file, in the order of the engine; `index` counts within its node."""

    model_config = ConfigDict(frozen=True)

    node: str
    index: int
    kind: OutputKind
    name: str
    media_type: str
    bytes: int
    digest: str
    width: int | None
    height: int | None
    download: Link
    recipe_url: str


class JobFailure(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    retryable: bool


class Job(BaseModel):
    """`attempt` is 0 until a worker takes the job. `stage` is set while it is processing. `priority` is
    what was asked for, `labels` those that its server must carry.

    If it still waits at `expires_at`, it expires. `batch` is the id of the one that it belongs to.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    state: JobState
    stage: StageName | None
    preset: str
    preset_version: str
    inputs: dict[str, list[JobInput]]
    values: dict[str, JsonValue]
    priority: Priority
    labels: dict[str, str]
    attempt: int
    cancelling: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outputs: list[JobOutput]
    failure: JobFailure | None
    retry_of: str | None
    idempotency_key: str | None
    price: int
    expected_s: float | None
    expires_at: datetime | None
    batch: str | None
    status_url: str
    events_url: str


class AttemptEnd(StrEnum):
    """`released`: given back by no fault of the job, and does not count; `broken_off`: its engine or server
    failed; `lost`: its worker did."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    BROKEN_OFF = "broken_off"
    LOST = "lost"


class JobAttempt(BaseModel):
    """One try: `started_at` is when its execution began. `end` is None while it goes on."""

    model_config = ConfigDict(frozen=True)

    number: int
    engine: str | None
    engine_version: str | None
    server_class: str | None
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    end: AttemptEnd | None


class JobDetail(Job):
    attempts: list[JobAttempt]
    receipt: Receipt


class JobPage(BaseModel):
    """Newest first. `next_cursor` asks for the page after this one; None at the end."""

    model_config = ConfigDict(frozen=True)

    jobs: list[Job]
    next_cursor: str | None
