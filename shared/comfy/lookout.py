"""Finding a prompt on the server, by the jobs API of newer servers or by history and queue."""

from collections.abc import Mapping
from typing import assert_never
from urllib.parse import quote

from shared.comfy.endpoints import Endpoints
from shared.comfy.records import Interrupted, Outcome, Place, Sighting, parse_outcome, parse_place
from shared.errors import JsonValue

__all__ = ["Lookout"]

_JOB_PLACES = {"pending": Place.PENDING, "in_progress": Place.RUNNING}


class Lookout:
    """The history is the record; the socket only says when to look."""

    def __init__(self, *, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._has_jobs: bool | None = None

    async def outcome(self, prompt_id: str) -> Outcome | None:
        """How the prompt ended, None while the history does not tell."""
        entry = await self._endpoints.history(prompt_id)
        return None if entry is None else parse_outcome(entry)

    async def sight(self, prompt_id: str) -> Sighting:
        """Where the prompt is. Both places change under one lock of the server, but we ask in turn:
        a prompt may move from the queue to the history in between, so the history is asked again."""
        if await self.has_jobs():
            return await self._sight_job(prompt_id)
        outcome = await self.outcome(prompt_id)
        if outcome is not None:
            return outcome
        place = parse_place(await self._endpoints.get_object("/queue"), prompt_id)
        match place:
            case Place.PENDING | Place.RUNNING:
                return place
            case Place.ABSENT:
                return await self.outcome(prompt_id) or place
            case _:
                assert_never(place)

    async def has_jobs(self) -> bool:
        """Does the server have the jobs API? Asked once."""
        if self._has_jobs is None:
            answer = await self._endpoints.get("/api/jobs?limit=1")
            listed = answer.data.get("jobs") if isinstance(answer.data, Mapping) else None
            self._has_jobs = answer.status == 200 and isinstance(listed, list)
        return self._has_jobs

    async def cancel_job(self, prompt_id: str) -> None:
        """Pending or running, in one step of the server."""
        await self._endpoints.post(f"/api/jobs/{quote(prompt_id, safe='')}/cancel", {})

    async def _sight_job(self, prompt_id: str) -> Sighting:
        answer = await self._endpoints.get(f"/api/jobs/{quote(prompt_id, safe='')}")
        job = answer.data if answer.status == 200 and isinstance(answer.data, Mapping) else None
        status = job.get("status") if job else None
        if isinstance(status, str) and status in _JOB_PLACES:
            return _JOB_PLACES[status]
        outcome = await self.outcome(prompt_id)
        if outcome is not None:
            return outcome
        return Place.ABSENT if job is None else _job_outcome(job)


def _job_outcome(job: Mapping[str, JsonValue]) -> Outcome:
    """For a job that has left the history; its details have the same parts under other names."""
    if job.get("status") == "cancelled":
        return Interrupted()
    error = job.get("execution_error")
    messages: JsonValue = [["execution_error", error]] if isinstance(error, Mapping) else []
    word = "error" if job.get("status") == "failed" else "success"
    return parse_outcome(
        {"outputs": job.get("outputs"), "status": {"status_str": word, "messages": messages}}
    )
