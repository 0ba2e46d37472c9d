"""GPU servers, for operators: keys with the scope `operate`, which only the command line makes."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from cloud.routers.json_bodies import JsonRoute
from shared.api.servers import Server, ServerList, ServerRequest, ServerState
from shared.api.waiting import ServerWhy

__all__ = ["router"]

router = APIRouter(prefix="/operator/servers", tags=["operator"], route_class=JsonRoute)

_Name = Annotated[str, Path(max_length=50, pattern=r"^[a-z0-9][a-z0-9.-]*$")]


@router.get("", responses=errors(401, 403))
async def list_servers(caller: Called, factory: Made) -> ServerList:
    return await factory.servers().all(caller.operator())


@router.post("", status_code=201, responses=errors(401, 403, 409, 422))
async def add_server(request: ServerRequest, caller: Called, factory: Made) -> Server:
    """Register a ComfyUI; the workers find it within seconds."""
    return await factory.servers().add(caller.operator(), request)


@router.get("/{name}", responses=errors(401, 403, 404, 422))
async def show_server(name: _Name, caller: Called, factory: Made) -> Server:
    return await factory.servers().show(caller.operator(), name)


@router.get("/{name}/why", responses=errors(401, 403, 404, 422))
async def why_server(name: _Name, caller: Called, factory: Made) -> ServerWhy:
    """Why it has nothing to do, or not more than it has."""
    return await factory.why().server(caller.operator(), name)


@router.post("/{name}/enable", responses=errors(401, 403, 404, 422))
async def enable_server(name: _Name, caller: Called, factory: Made) -> Server:
    return await factory.servers().set_state(caller.operator(), name, ServerState.ACTIVE)


@router.post("/{name}/drain", responses=errors(401, 403, 404, 422))
async def drain_server(name: _Name, caller: Called, factory: Made) -> Server:
    """What runs there ends there; nothing new is given to it."""
    return await factory.servers().set_state(caller.operator(), name, ServerState.DRAINING)


@router.post("/{name}/disable", responses=errors(401, 403, 404, 422))
async def disable_server(name: _Name, caller: Called, factory: Made) -> Server:
    """What it has is handed to others at once."""
    return await factory.servers().set_state(caller.operator(), name, ServerState.DISABLED)


@router.delete("/{name}", status_code=204, responses=errors(401, 403, 404, 409, 422))
async def remove_server(name: _Name, caller: Called, factory: Made) -> Response:
    """Forget it; 409 while it has jobs."""
    await factory.servers().remove(caller.operator(), name)
    return Response(status_code=204)
