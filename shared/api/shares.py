"""Links that show a picture to whoever has them, on the wire."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.api.lines import LINE
from shared.api.numbers import Whole

__all__ = ["Share", "ShareMade", "SharePage", "ShareRequest"]

_WEEK_S = 7 * 24 * 3600
_LONGEST_S = 90 * 24 * 3600


class ShareRequest(BaseModel):
    """`name` is what a browser saves the picture under; its suffix follows from the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=LINE)] = "picture"
    valid_s: Annotated[Whole, Field(ge=60, le=_LONGEST_S)] = _WEEK_S


class Share(BaseModel):
    """`digest` is that of a copy of `source` without its metadata: the link shows the copy alone."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    digest: str
    name: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class ShareMade(BaseModel):
    """`url` is told this once and needs no key."""

    model_config = ConfigDict(frozen=True)

    share: Share
    url: str


class SharePage(BaseModel):
    """Newest first. `next_cursor` asks for the page after this one; None at the end."""

    model_config = ConfigDict(frozen=True)

    shares: list[Share]
    next_cursor: str | None
