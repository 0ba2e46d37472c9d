"""Batches: submit, list, show, cancel, retry."""

from fastapi import APIRouter, Response

from cloud.routers.answers import accepted, errors
from cloud.routers.callers import Called, IdempotencyKey, Made
from cloud.routers.json_bodies import JsonRoute
from cloud.routers.parameters import Cursor, Id, PageLimit
from shared.api.batches import Batch, BatchAccepted, BatchPage, BatchRequest

__all__ = ["router"]

router = APIRouter(prefix="/batches", tags=["batches"], route_class=JsonRoute)


@router.post(
    "", status_code=202, response_model=BatchAccepted, responses=errors(401, 402, 403, 409, 413, 422)
)
async def submit_batch(
    request: BatchRequest, caller: Called, factory: Made, key: IdempotencyKey = None
) -> Response:
    """Accept one preset on each of up to 1,000 items: all of them, or none."""
    return accepted(await factory.batches().submit(caller, request, key=key))


@router.get("", responses=errors(401, 403, 422))
async def list_batches(
    caller: Called,
    factory: Made,
    cursor: Cursor = None,
    limit: PageLimit = 50,
) -> BatchPage:
    """The account's batches, newest first."""
    return await factory.batches().page(caller, cursor=cursor, limit=limit)


@router.get("/{batch_id}", responses=errors(401, 403, 404, 422))
async def show_batch(batch_id: Id, caller: Called, factory: Made) -> Batch:
    """With the counts of how its jobs ended; the jobs themselves are listed at `jobs_url`."""
    return await factory.batches().show(caller, batch_id)


@router.post("/{batch_id}/cancel", responses=errors(401, 403, 404, 422))
async def cancel_batch(batch_id: Id, caller: Called, factory: Made) -> Batch:
    """Its waiting jobs end at once, its running ones soon; those that have ended stay as they are."""
    return await factory.batches().cancel(caller, batch_id)


@router.post(
    "/{batch_id}/retry",
    status_code=202,
    response_model=BatchAccepted,
    responses=errors(401, 402, 403, 404, 409, 413, 422),
)
async def retry_batch(batch_id: Id, caller: Called, factory: Made, key: IdempotencyKey = None) -> Response:
    """A new batch, with `retry_of`, of the jobs that failed, were cancelled or expired."""
    return accepted(await factory.batches().retry(caller, batch_id, key=key))
