"""Bytes in and out by signed links, which need no key."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from cloud.routers.answers import BINARY, declared_bytes, errors
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
async def download_bytes(token: _Token, factory: Made) -> Response:
    stored = await factory.artifacts().open(token)
    if stored.link is not None:
        return RedirectResponse(stored.link)
    name = quote(stored.permission.name, safe="")
    headers = {
        "Content-Length": str(stored.permission.bytes),
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Cache-Control": "private, max-age=300, immutable",
    }
    return StreamingResponse(stored.chunks, headers=headers, media_type=stored.permission.media_type)
