"""The presets on offer."""

from typing import Annotated

from fastapi import APIRouter, Path

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from cloud.services.callers import Scope
from shared.api.credits import Quote
from shared.api.presets import PresetDetail, PresetList

__all__ = ["router"]

router = APIRouter(prefix="/presets", tags=["presets"])


@router.get("", responses=errors(401, 403))
async def list_presets(caller: Called, factory: Made) -> PresetList:
    caller.require(Scope.READ)
    return factory.presets().list()


@router.get("/{preset_id}", responses=errors(401, 403, 404, 422))
async def show_preset(
    preset_id: Annotated[str, Path(max_length=100)], caller: Called, factory: Made
) -> PresetDetail:
    """With the JSON Schema of its values."""
    caller.require(Scope.READ)
    return factory.presets().show(preset_id)


@router.get("/{preset_id}/quote", responses=errors(401, 403, 404, 422))
async def quote_preset(
    preset_id: Annotated[str, Path(max_length=100)], caller: Called, factory: Made
) -> Quote:
    """What one job would cost now, and how long its run should take."""
    return await factory.quotes().show(caller, preset_id)
