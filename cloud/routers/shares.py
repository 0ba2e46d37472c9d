"""Links that show a picture to whoever has them: made, listed, revoked, followed."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from cloud.factory import Factory
from cloud.routers.answers import BINARY, errors
from cloud.routers.byte_answers import BytesOut, answer_bytes
from cloud.routers.callers import Called, Made
from cloud.routers.json_bodies import JsonRoute
from cloud.routers.parameters import ArtifactDigest, Cursor, Id, PageLimit
from shared.api.shares import ShareMade, SharePage, ShareRequest

__all__ = ["router"]

router = APIRouter(tags=["shares"], route_class=JsonRoute)

_Token = Annotated[str, Path(max_length=100)]


@router.post("/artifacts/{digest}/shares", status_code=201, responses=errors(401, 403, 404, 409, 422))
async def share_artifact(
    digest: ArtifactDigest, request: ShareRequest, caller: Called, factory: Made
) -> ShareMade:
    """A link to a copy without EXIF, GPS, XMP and prompt texts. It can be revoked, and ends by itself."""
    return await factory.shares().share(caller, digest, request)


@router.get("/shares", responses=errors(401, 403, 422))
async def list_shares(
    caller: Called,
    factory: Made,
    cursor: Cursor = None,
    limit: PageLimit = 50,
) -> SharePage:
    """The account's links, newest first; ended ones among them."""
    return await factory.shares().page(caller, cursor=cursor, limit=limit)


@router.delete("/shares/{share_id}", status_code=204, responses=errors(401, 403, 404, 422))
async def revoke_share(share_id: Id, caller: Called, factory: Made) -> None:
    """From now on the link shows nothing."""
    await factory.shares().revoke(caller, share_id)


@router.get(
    "/shared/{token}",
    response_class=Response,
    responses={**errors(403, 422), 200: {"description": "The picture", **BINARY}},
)
async def show_shared(token: _Token, request: Request, factory: Made) -> Response:
    """The picture that the link shows; parts of it by `Range`."""
    return await _shown(token, request, factory)


@router.head("/shared/{token}", responses=errors(403, 422))
async def look_at_shared(token: _Token, request: Request, factory: Made) -> Response:
    """Only what can be said of it."""
    return await _shown(token, request, factory)


async def _shown(token: str, request: Request, factory: Factory) -> Response:
    shown = await factory.shares().open(token)
    file = shown.file
    out = BytesOut(
        digest=file.digest,
        size=file.bytes,
        media_type=file.media_type,
        name=file.name,
        link=shown.link,
        read=shown.read,
    )
    answer = answer_bytes(request, out, cache="private, no-cache")
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
