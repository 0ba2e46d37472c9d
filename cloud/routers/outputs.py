"""Outputs of jobs: how each was made."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from cloud.routers.parameters import Id
from shared.api.recipes import Recipe

__all__ = ["router"]

router = APIRouter(prefix="/jobs/{job_id}/outputs", tags=["jobs"])

_Position = Annotated[int, Path(ge=0, le=100_000, description="Among the outputs, from 0")]


@router.get("/{position}/recipe", response_model=Recipe, responses=errors(401, 403, 404, 422))
async def show_recipe(job_id: Id, position: _Position, caller: Called, factory: Made) -> Response:
    """Preset, values, seed, models and inputs: all that it takes to make this output again."""
    text = await factory.recipes().show(caller, job_id, position)
    return Response(text, media_type="application/json")
