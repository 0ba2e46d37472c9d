"""Every answer that is an error, in one envelope: no trace, statement, path or address among it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from asgi_correlation_id import correlation_id
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import compile_path

from cloud import errors
from cloud.clients.blob import BlobMissing, BlobUnavailable
from cloud.clients.telemetry import report
from shared.api.errors import ErrorBody, ErrorEnvelope
from shared.errors import JsonValue, SafelightError, TransientError, UsageError

__all__ = ["answer_to", "envelope", "install_error_answers"]

_log = structlog.get_logger(__name__)

_STATUSES: Mapping[type[SafelightError], int] = {
    errors.SignInNeeded: 401,
    errors.NeedsCredits: 402,
    errors.PlanLimit: 402,
    errors.NotAllowed: 403,
    errors.LinkExpired: 403,
    errors.NotFound: 404,
    BlobMissing: 404,
    errors.Conflict: 409,
    errors.PriceChanged: 409,
    errors.InFlight: 409,
    errors.EventsGone: 410,
    errors.TooLarge: 413,
    errors.TooManyRequests: 429,
    BlobUnavailable: 503,
}
_CODES: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "the request cannot be read; check its form"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method"),
    408: ("too_slow", "the request did not come in time; send it again"),
    413: ("too_large", "the request is too large"),
    415: ("unsupported_media_type", "send JSON, with the content type application/json"),
}
_RETRY_AFTER_S = 2


def install_error_answers(app: FastAPI) -> None:
    for kind in (SafelightError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    answer = answer_to(error)
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(_methods_of(request)))
    return answer


def _methods_of(request: Request) -> set[str]:
    """What may be done at this address, over all of its routes."""
    return {
        method.upper()
        for path, operations in request.app.openapi()["paths"].items()
        if compile_path(path)[0].match(request.url.path)
        for method in operations
    }


def answer_to(error: Exception) -> JSONResponse:
    match error:
        case UsageError() | TransientError() | BlobMissing():
            return _ours(error)
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            code, message = _CODES.get(
                error.status_code, ("http_error", HTTPStatus(error.status_code).phrase)
            )
            return envelope(error.status_code, code, message, headers=error.headers)
        case _:
            return _fault(error)


def envelope(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, JsonValue] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = ErrorEnvelope(
        error=ErrorBody(
            code=code, message=message, details=dict(details or {}), request_id=correlation_id.get()
        )
    )
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=dict(headers or {}))


def _ours(error: SafelightError) -> JSONResponse:
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), None)
    if status is None:
        status = 503 if isinstance(error, TransientError) else 422
    after_s = error.details.get("retry_after_s", _RETRY_AFTER_S)
    headers = {"Retry-After": str(after_s)} if error.retryable else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in {401, 403}:
        _log.warning("refused", code=error.code)
    return envelope(status, error.code, error.message, error.details, headers)


def _invalid(error: RequestValidationError) -> JSONResponse:
    """The fields are named; what stood in them is not repeated."""
    problems = [_problem(item["loc"], item["type"], item["msg"]) for item in error.errors()]
    first = problems[0] if problems else _problem((), "json_invalid", "")
    details: dict[str, JsonValue] = {"field": first["field"], "problems": [*problems]}
    return envelope(422, "invalid_request", f"{first['field']}: {first['message']}", details)


def _problem(location: Sequence[int | str], kind: str, message: str) -> dict[str, str]:
    if kind == "json_invalid":
        return {"field": "body", "message": "this is not valid JSON"}
    return {"field": ".".join(str(part) for part in location[1:]) or "body", "message": message}


def _fault(error: Exception) -> JSONResponse:
    _log.error("fault", error=type(error).__name__, exc_info=error)
    report(error)
    message = "something went wrong on our side; tell us the request id if it happens again"
    return envelope(500, "internal", message)
