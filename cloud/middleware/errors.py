"""Every answer that is an error, in one envelope: no trace, statement, path or address among it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

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
_NO_OBJECT = "send a JSON object, with the content type application/json"
_DEEPEST_NAMED = 12  # parts of a field's name: values of graphs nest at will


def install_error_answers(app: FastAPI) -> None:
    for kind in (SafelightError, RequestValidationError, HTTPException, OSError, Exception):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RequestValidationError) and request.method not in _methods_of(request):
        error = HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)  # another route took its name for an id
    answer = answer_to(error)
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(_methods_of(request)))
    return answer


def _methods_of(request: Request) -> set[str]:
    """What may be done at this address, over all of its routes; where one names it word for word, by that."""
    paths, asked = request.app.openapi()["paths"], request.url.path
    named = [paths[asked]] if asked in paths else []
    matching = named or [paths[path] for path in paths if compile_path(path)[0].match(asked)]
    return {method.upper() for operations in matching for method in operations}


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
        case OSError() if errors.is_exhaustion(error):
            _log.error("machine_exhausted", error=error.strerror)
            return _ours(errors.MachineExhausted("there is no room on our side just now; try again later"))
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
    problems = [_problem(item) for item in error.errors()]
    details: dict[str, JsonValue] = {"field": problems[0]["field"], "problems": [*problems]}
    return envelope(422, "invalid_request", f"{problems[0]['field']}: {problems[0]['message']}", details)


def _problem(found: Mapping[str, Any]) -> dict[str, str]:
    """`found` is what pydantic tells of one field, or FastAPI of the body."""
    place = tuple(found["loc"])
    match found["type"]:
        case "json_invalid":
            return {"field": "body", "message": f"this is not valid JSON: {found['ctx']['error']}"}
        case "model_attributes_type" if place == ("body",):
            return {"field": "body", "message": _NO_OBJECT}
        case _:
            field = ".".join(str(part) for part in place[1:][:_DEEPEST_NAMED]) or "body"
            return {"field": field, "message": found["msg"].removeprefix("Value error, ")}


def _fault(error: Exception) -> JSONResponse:
    _log.error("fault", error=type(error).__name__, exc_info=error)
    report(error)
    message = "something went wrong on our side; tell us the request id if it happens again"
    return envelope(500, "internal", message)
