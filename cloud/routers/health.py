"""For load balancers: whether the process lives, and whether it can work."""

from dataclasses import asdict

from fastapi import APIRouter, Response
from pydantic import BaseModel

from cloud.routers.callers import Made

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: str


class Ready(BaseModel):
    """False for what does not answer. Without the queue, work goes on more slowly. What is `stopping` answers
    only what it was asked before."""

    ready: bool
    database: bool
    migrations: bool
    storage: bool
    queue: bool
    stopping: bool


@router.get("/health")
async def health() -> Alive:
    return Alive(status="alive")


@router.get("/ready", responses={503: {"model": Ready, "description": "Something needed does not answer"}})
async def ready(factory: Made, response: Response) -> Ready:
    found = await factory.health().look()
    if not found.ready:
        response.status_code = 503
    return Ready(ready=found.ready, **asdict(found))
