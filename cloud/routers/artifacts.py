"""Artifacts: announced, sent, checked and shown."""

from fastapi import APIRouter, Request

from cloud.routers.answers import BINARY, declared_bytes, errors
from cloud.routers.callers import Called, Made
from cloud.routers.json_bodies import JsonRoute
from cloud.routers.parameters import ArtifactDigest
from shared.api.artifacts import Artifact, ArtifactRequest

__all__ = ["router"]

router = APIRouter(prefix="/artifacts", tags=["artifacts"], route_class=JsonRoute)


@router.post("", responses=errors(401, 403, 413, 422))
async def announce_artifact(request: ArtifactRequest, caller: Called, factory: Made) -> Artifact:
    """Bytes that are known need no upload; for others, the answer holds the link to send them to."""
    return await factory.artifacts().announce(caller, request)


@router.get("/{digest}", responses=errors(401, 403, 404, 422))
async def show_artifact(digest: ArtifactDigest, caller: Called, factory: Made) -> Artifact:
    return await factory.artifacts().show(caller, digest)


@router.put(
    "/{digest}",
    responses=errors(401, 403, 413, 422),
    openapi_extra={"requestBody": {"required": True, **BINARY}},
)
async def send_artifact(digest: ArtifactDigest, request: Request, caller: Called, factory: Made) -> Artifact:
    """Announce, send and have checked at once: the raw bytes, in one request. `state` says whether they are
    taken, `problem` why not. For small files; larger ones are better announced, in case they are known."""
    return await factory.artifacts().take(caller, digest, declared_bytes(request), request.stream())


@router.post("/{digest}/complete", responses=errors(401, 403, 404, 409, 413, 422))
async def complete_artifact(digest: ArtifactDigest, caller: Called, factory: Made) -> Artifact:
    """Check the bytes that were sent; `state` says whether they are taken, `problem` why not."""
    return await factory.artifacts().complete(caller, digest)
