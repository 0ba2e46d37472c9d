"""For Prometheus alone: on this machine, or with the token of the settings."""

import secrets

from fastapi import APIRouter, Request, Response

from cloud.errors import NotFound
from cloud.routers.callers import Made, address_of

__all__ = ["router"]

router = APIRouter(tags=["health"], include_in_schema=False)

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@router.get("/metrics")
async def metrics(request: Request, factory: Made) -> Response:
    if not _may_read(request, factory.metrics_token()):
        raise NotFound("there is nothing at this address")
    return Response(await factory.observing().text(), media_type=_TEXT)


def _may_read(request: Request, token: str | None) -> bool:
    """What a proxy on this machine passed on comes from elsewhere, whatever its address."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if token is not None and scheme.lower() == "bearer":
        return secrets.compare_digest(given.encode(), token.encode())
    return address_of(request) in _LOOPBACK and not any(name in request.headers for name in _PASSED_ON)
