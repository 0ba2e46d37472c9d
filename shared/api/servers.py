"""GPU servers on the wire, for operators."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shared.api.lines import LINE
from shared.api.numbers import Whole

__all__ = [
    "BreakerState",
    "PoolName",
    "Server",
    "ServerBreaker",
    "ServerLabels",
    "ServerList",
    "ServerName",
    "ServerRequest",
    "ServerState",
    "ServerSwitch",
]

ServerName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9][a-z0-9.-]*$")]
PoolName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9][a-z0-9-]*$")]
_Label = Annotated[str, Field(min_length=1, max_length=100, pattern=LINE)]
ServerLabels = Annotated[dict[_Label, _Label], Field(json_schema_extra={"additionalProperties": False})]


class ServerState(StrEnum):
    """What the operator wants: a draining server ends what it has, a disabled one hands it back."""

    ACTIVE = "active"
    DRAINING = "draining"
    DISABLED = "disabled"


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"  # one job may try


class ServerRequest(BaseModel):
    """A ComfyUI to register. `capacity` prompts run there at once, and one more waits behind them.

    `token` is sent to it as a bearer token; it is kept sealed and never shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]
    name: ServerName | None = None
    pool: PoolName = "comfy"
    capacity: Annotated[Whole, Field(ge=1, le=16)] = 1
    labels: Annotated[ServerLabels, Field(max_length=32)] = {}
    token: Annotated[SecretStr, Field(min_length=1, max_length=4000)] | None = None


class ServerBreaker(BaseModel):
    """Open while the server is left alone after failures; `trouble` is the last of them."""

    model_config = ConfigDict(frozen=True)

    state: BreakerState
    failures: int
    opened_at: datetime | None
    retry_at: datetime | None
    trouble: str | None


class ServerSwitch(BaseModel):
    """Measured seconds to the first progress: with the models to load, and without."""

    model_config = ConfigDict(frozen=True)

    preset: str
    cold_s: float | None
    warm_s: float | None


class Server(BaseModel):
    """A registered server; what it said of itself is null while it has never answered."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    pool: str
    capacity: int
    labels: dict[str, str]
    state: ServerState
    created_at: datetime
    version: str | None
    device: str | None
    memory_bytes: int | None
    memory_free_bytes: int | None
    queue_length: int | None
    seen_at: datetime | None
    breaker: ServerBreaker
    led_by: str | None
    preset: str | None
    preset_since: datetime | None
    switches: list[ServerSwitch]
    models: dict[str, list[str]] | None
    node_classes: int | None


class ServerList(BaseModel):
    model_config = ConfigDict(frozen=True)

    servers: list[Server]
