"""Why jobs wait."""

from fastapi import APIRouter

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from cloud.routers.parameters import Id
from shared.api.waiting import JobWaiting

__all__ = ["router"]

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("/{job_id}/waiting", responses=errors(401, 403, 404, 422))
async def why_job_waits(job_id: Id, caller: Called, factory: Made) -> JobWaiting:
    """In words: what comes before it, and per server why it has not taken it."""
    return await factory.why().job(caller, job_id)
