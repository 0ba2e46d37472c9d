"""Artifacts on the wire: stored files, named by their SHA-256."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.api.numbers import Whole

__all__ = ["Artifact", "ArtifactRequest", "ArtifactState", "Digest", "Link", "Problem"]

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, 64 lower-case hex digits")]


class ArtifactState(StrEnum):
    WANTED = "wanted"  # announced; its bytes have not been checked
    READY = "ready"
    REFUSED = "refused"  # checked and found wanting: `problem` says why


class Link(BaseModel):
    """A signed URL for one method, to be used with exactly these headers and without a key."""

    model_config = ConfigDict(frozen=True)

    url: str
    method: str
    headers: dict[str, str]
    expires_at: datetime


class Problem(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class ArtifactRequest(BaseModel):
    """Announces bytes. Known ones need no upload; for others `upload` of the answer says where to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: Digest
    bytes: Annotated[Whole, Field(ge=1, le=2**40)]


class Artifact(BaseModel):
    """`width` and `height` in pixels where it is a picture. `download` is there once it is ready.
    `derived_from` is the artifact of which this is a copy without metadata.

    After the bytes were sent to `upload`, POST `/artifacts/{digest}/complete` has them checked.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    state: ArtifactState
    bytes: int
    media_type: str | None
    width: int | None
    height: int | None
    derived_from: str | None
    created_at: datetime
    upload: Link | None
    download: Link | None
    problem: Problem | None
