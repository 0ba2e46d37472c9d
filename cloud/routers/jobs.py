"""Jobs: submit, list, show, cancel, retry."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from cloud.repositories.jobs import JobFilter
from cloud.routers.answers import accepted, errors
from cloud.routers.callers import Called, IdempotencyKey, Made
from cloud.routers.json_bodies import JsonRoute
from cloud.routers.parameters import PRINTABLE, Id
from cloud.services.cursors import CURSOR
from shared.api.jobs import Job, JobAccepted, JobDetail, JobPage, JobRequest
from shared.api.moments import Moment
from shared.jobs.state import JobState

__all__ = ["router"]

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=JsonRoute)


@router.post("", status_code=202, response_model=JobAccepted, responses=errors(401, 402, 403, 409, 413, 422))
async def submit_job(
    request: JobRequest, caller: Called, factory: Made, key: IdempotencyKey = None
) -> Response:
    """Accept one job: a preset on named artifacts. `Idempotent-Replayed: true` marks a repeated answer."""
    return accepted(await factory.jobs().submit(caller, request, key=key))


class JobQuery(BaseModel):
    """Which jobs are listed; each narrows it further."""

    state: Annotated[list[JobState] | None, Field(max_length=7)] = None
    preset: Annotated[str | None, Field(max_length=100, pattern=PRINTABLE)] = None
    batch: Annotated[str | None, Field(max_length=36, pattern=PRINTABLE)] = None
    created_from: Annotated[Moment | None, Field(description="Made then or later")] = None
    created_until: Annotated[Moment | None, Field(description="Made before")] = None
    idempotency_key: Annotated[str | None, Field(max_length=255, pattern=PRINTABLE)] = None
    cursor: Annotated[str | None, Field(max_length=100, pattern=CURSOR)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


@router.get("", responses=errors(401, 403, 422))
async def list_jobs(query: Annotated[JobQuery, Query()], caller: Called, factory: Made) -> JobPage:
    """The account's jobs, newest first."""
    wanted = JobFilter(
        states=tuple(query.state or ()),
        preset_id=query.preset,
        batch_id=query.batch,
        created_from=query.created_from,
        created_until=query.created_until,
        idempotency_key=query.idempotency_key,
    )
    return await factory.jobs().page(caller, wanted, cursor=query.cursor, limit=query.limit)


@router.get("/{job_id}", responses=errors(401, 403, 404, 422))
async def show_job(job_id: Id, caller: Called, factory: Made) -> JobDetail:
    """With its attempts and its receipt."""
    return await factory.jobs().show(caller, job_id)


@router.post("/{job_id}/cancel", responses=errors(401, 403, 404, 422))
async def cancel_job(job_id: Id, caller: Called, factory: Made) -> Job:
    """A waiting job ends at once, a running one soon; one that has ended stays as it is."""
    return await factory.jobs().cancel(caller, job_id)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    response_model=JobAccepted,
    responses=errors(401, 402, 403, 404, 409, 413, 422),
)
async def retry_job(job_id: Id, caller: Called, factory: Made, key: IdempotencyKey = None) -> Response:
    """A new job like this one, with `retry_of`."""
    return accepted(await factory.jobs().retry(caller, job_id, key=key))
