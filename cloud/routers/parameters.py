"""Parameters of paths and queries that several routes take."""

from typing import Annotated

from fastapi import Path, Query

from cloud.services.cursors import CURSOR

__all__ = ["PRINTABLE", "ArtifactDigest", "Cursor", "Id", "PageLimit"]

PRINTABLE = r"^[\x21-\x7e]+$"

Id = Annotated[str, Path(max_length=36, pattern=r"^[0-9a-f-]+$")]
ArtifactDigest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
Cursor = Annotated[str | None, Query(max_length=100, pattern=CURSOR)]
PageLimit = Annotated[int, Query(ge=1, le=200)]
