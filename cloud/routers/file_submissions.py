"""Jobs that are submitted together with their files."""

from json import JSONDecodeError
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from cloud.clients.multipart import parts_of
from cloud.errors import EventsGone, TooManyRequests
from cloud.factory import Factory
from cloud.routers.answers import accepted, errors
from cloud.routers.callers import Called, IdempotencyKey, Made
from cloud.routers.events import event_stream
from cloud.routers.json_bodies import read_json
from cloud.services.accepting import Submitted
from cloud.services.callers import Caller, Scope
from cloud.services.event_streams import no_frames
from shared.api.jobs import JobAccepted, JobRequest

__all__ = ["router"]

router = APIRouter(tags=["jobs"])

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["job"],
    "properties": {
        "job": {
            "type": "string",
            "description": "A JobRequest as JSON, without the inputs that come as files of their own",
        }
    },
    "additionalProperties": {"type": "string", "format": "binary", "description": "A file for this input"},
}
_BODY = {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
_EVENTS: dict[int | str, dict[str, Any]] = {
    202: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.post(
    "/jobs/with-files",
    status_code=202,
    response_model=JobAccepted,
    responses={**errors(401, 402, 403, 409, 413, 422), **_EVENTS},
    openapi_extra={"requestBody": _BODY},
)
async def submit_with_files(
    request: Request,
    caller: Called,
    factory: Made,
    key: IdempotencyKey = None,
    accept: Annotated[str, Header(max_length=200)] = "",
) -> Response:
    """Accept one job and its files at once: each part of the form but `job` is a file for the input of its
    name, or one whose digest `job` names itself. For small files; larger ones are better announced as
    artifacts, in case they are known.

    Asked for `text/event-stream`, it answers with the event `accepted`, and then with the job's own."""
    is_followed = "text/event-stream" in accept
    if is_followed:
        caller.require(Scope.READ)
    parts = parts_of(request.headers.get("content-type", ""), request.stream())
    try:
        submitted = await factory.file_submissions().submit(caller, parts, _read_request, key=key)
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    answer = accepted(submitted)
    return await _followed(caller, factory, submitted, answer) if is_followed else answer


def _read_request(text: bytes) -> JobRequest:
    """Raises RequestValidationError."""
    try:
        given = read_json(text)
        return JobRequest.model_validate({"inputs": {}} | given if isinstance(given, dict) else given)
    except JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ("job",), "msg": error.msg, "ctx": {"error": error.msg}}
        raise RequestValidationError([problem]) from error
    except ValidationError as error:
        problems = [{**item, "loc": ("job", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(problems) from None


async def _followed(caller: Caller, factory: Factory, submitted: Submitted, answer: Response) -> Response:
    """The answer as the first event; it stays the only one where the account may have no more streams, or
    the job's events are no longer kept."""
    job_id = JobAccepted.model_validate_json(submitted.answer).id
    streams = factory.event_streams()
    try:
        if submitted.replayed:
            frames = await streams.follow_job(caller.account_id, job_id, after=None)
        else:
            frames = streams.follow_new(caller.account_id, job_id)
    except (TooManyRequests, EventsGone):
        frames = no_frames()
    first = f"event: accepted\ndata: {submitted.answer}\n\n"
    headers = {name: answer.headers[name] for name in ("Idempotent-Replayed",) if name in answer.headers}
    return event_stream(streams.while_usable(caller, frames), first=first, status=202, headers=headers)
