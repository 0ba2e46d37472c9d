"""Answers that several routes give, and what the OpenAPI document says of errors and of raw bytes."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from cloud.services.accepting import Submitted
from shared.api.errors import ErrorEnvelope

__all__ = ["BINARY", "accepted", "declared_bytes", "errors"]

BINARY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}

_MEANINGS: Mapping[int, str] = {
    400: "The request cannot be read, or names an unknown host",
    401: "No valid API key",
    402: "Needs credits, or a larger plan; `details` carry the balance, the price or the limit, and a link",
    403: "The key or the link does not allow this",
    404: "Not there, or not this account's",
    409: "Not possible in this state, or the first request with this Idempotency-Key has not ended",
    410: "The events asked for are no longer kept",
    413: "Too large",
    422: "Invalid; `details.field` names the field",
    429: "Too many requests of the account, the key or the address: wait the seconds in `Retry-After`",
    431: "The address or the headers are too long",
    503: "Busy: try again after the seconds in `Retry-After`",
}


def accepted(submitted: Submitted) -> Response:
    """202; `Idempotent-Replayed: true` marks a repeated answer."""
    headers = {"Idempotent-Replayed": "true"} if submitted.replayed else {}
    return Response(submitted.answer, 202, headers, media_type="application/json")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Each in the envelope; 400, 429, 431 and 503 may always happen."""
    return {
        status: {"model": ErrorEnvelope, "description": _MEANINGS[status]}
        for status in sorted({400, 429, 431, 503, *statuses})
    }


def declared_bytes(request: Request) -> int | None:
    """How many will come, if the client says."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
