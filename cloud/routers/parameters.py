"""Parameters of paths and queries that several routes take."""

from typing import Annotated

from fastapi import Path, Query

__all__ = ["PRINTABLE", "ArtifactDigest", "Cursor", "Id", "PageLimit"]

PRINTABLE = r"^[\x21-\x7e]+$"

Id = Annotated[str, Path(max_length=36, pattern=r"^[0-9a-f-]+$")]
ArtifactDigest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Cursor = Annotated[str | None, Query(max_length=100, pattern=PRINTABLE)]
PageLimit = Annotated[int, Query(ge=1, le=200)]
