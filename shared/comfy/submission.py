"""Sending a prompt so that it runs once, also when the answer is lost on the way."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.comfy.endpoints import Answer, Endpoints
from shared.comfy.errors import PromptRefused, ServerAbsent, ServerFaulty, ServerTooOld, ServerUnreachable
from shared.comfy.graph import Graph
from shared.comfy.lookout import Lookout
from shared.comfy.patience import Patience
from shared.comfy.records import Place
from shared.comfy.refusal import refusal_from
from shared.comfy.untrusted import object_in
from shared.errors import JsonValue

__all__ = ["PartlyAccepted", "Prompt", "Submission"]

_MAX_SENDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One run to be. `id` is ours, a canonical UUID, and stored by the caller before it is sent.

    The server takes a repeated id for a new run: only this module may send one.
    """

    id: str
    client_id: str
    graph: Graph
    extra_data: Mapping[str, JsonValue] = field(default_factory=dict)

    def body(self) -> dict[str, JsonValue]:
        return {
            "prompt": self.graph.to_json(),
            "prompt_id": self.id,
            "client_id": self.client_id,
            "extra_data": self.extra_data,
        }


class PartlyAccepted(PromptRefused):
    """The server took some outputs and began: to be cancelled by whoever sent it."""


class Submission:
    def __init__(self, *, endpoints: Endpoints, lookout: Lookout, patience: Patience) -> None:
        self._endpoints = endpoints
        self._lookout = lookout
        self._patience = patience

    async def send(self, prompt: Prompt) -> None:
        """Returns once the server has the prompt. Raises PromptRefused, PartlyAccepted, ServerTooOld,
        ServerFaulty, and ServerUnreachable, after which the prompt may or may not be queued."""
        for sends_left in reversed(range(_MAX_SENDS)):
            try:
                answer = await self._endpoints.post("/prompt", prompt.body())
            except ServerAbsent:
                raise
            except (ServerUnreachable, ServerFaulty):
                if await self.is_known(prompt.id):
                    return
                if not sends_left:
                    raise
            else:
                await self._judge(answer, prompt)
                return

    async def is_known(self, prompt_id: str) -> bool:
        """Is it pending, running or ended there? Absence counts when seen twice."""
        if await self._lookout.sight(prompt_id) is not Place.ABSENT:
            return True
        await asyncio.sleep(self._patience.lost_after_s)
        return await self._lookout.sight(prompt_id) is not Place.ABSENT

    async def _judge(self, answer: Answer, prompt: Prompt) -> None:
        body = object_in(answer.data)
        if answer.status == 200 and "prompt_id" in body:
            await self._judge_acceptance(body, prompt)
            return
        if answer.status == 413:
            raise PromptRefused("the graph is too large for the ComfyUI server")
        if answer.status == 400 and body:
            raise refusal_from(body, prompt.graph)
        if answer.status in {200, 500} and await self.is_known(prompt.id):
            return
        if answer.status == 500:
            raise PromptRefused("the ComfyUI server could not read the graph; is it a valid one?")
        raise ServerFaulty(
            f"{self._endpoints.address} answered {answer.status} to a prompt; is it a ComfyUI?"
        )

    async def _judge_acceptance(self, body: Mapping[str, JsonValue], prompt: Prompt) -> None:
        if body["prompt_id"] != prompt.id:
            await self._endpoints.post("/queue", {"delete": [body["prompt_id"]]})
            raise ServerTooOld(
                f"the ComfyUI server at {self._endpoints.address} is too old: it gives runs its own ids; "
                "update it to 0.3.57 or newer"
            )
        if body.get("node_errors"):
            refusal = refusal_from(body, prompt.graph)
            raise PartlyAccepted(refusal.message, problems=refusal.problems, **refusal.details)
