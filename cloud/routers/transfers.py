"""Bytes in and out by signed links, which need no key."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from cloud.factory import Factory
from cloud.routers.answers import BINARY, declared_bytes, errors
from cloud.routers.byte_answers import BytesOut, answer_bytes
from cloud.routers.callers import Made

__all__ = ["router"]

router = APIRouter(tags=["artifacts"])

_Token = Annotated[str, Path(max_length=4096)]


@router.put(
    "/uploads/{token}",
    status_code=204,
    responses=errors(403, 413, 422),
    openapi_extra={"requestBody": {"required": True, **BINARY}},
)
async def upload_bytes(token: _Token, request: Request, factory: Made) -> None:
    """The raw bytes of an announced artifact, whole and unchanged."""
    await factory.artifacts().receive(token, declared_bytes(request), request.stream())


@router.get(
    "/downloads/{token}",
    response_class=Response,
    responses={**errors(403, 404, 422), 200: {"description": "The bytes", **BINARY}},
)
async def download_bytes(token: _Token, request: Request, factory: Made) -> Response:
    """The bytes, or parts of them by `Range`; where the store serves them itself, the way there."""
    return await _downloaded(token, request, factory)


@router.head("/downloads/{token}", responses=errors(403, 404, 422))
async def look_at_bytes(token: _Token, request: Request, factory: Made) -> Response:
    """Only what can be said of them."""
    return await _downloaded(token, request, factory)


async def _downloaded(token: str, request: Request, factory: Factory) -> Response:
    stored = await factory.artifacts().open(token)
    permission = stored.permission
    out = BytesOut(
        digest=permission.digest,
        size=permission.bytes,
        media_type=permission.media_type,
        name=permission.name,
        link=stored.link,
        read=stored.read,
    )
    return answer_bytes(request, out, cache="private, max-age=300, immutable")
