"""One ComfyUI server, as the rest of the program sees it."""

import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from shared.comfy.address import parse_address
from shared.comfy.endpoints import Endpoints, UploadedFile
from shared.comfy.errors import ServerFaulty, ServerUnreachable
from shared.comfy.event_socket import LARGEST_MESSAGE_BYTES
from shared.comfy.feed import Feed
from shared.comfy.following import News, follow_prompt
from shared.comfy.lookout import Lookout
from shared.comfy.messages import Withdrawn
from shared.comfy.node_catalog import NodeCatalogue, parse_catalogue
from shared.comfy.patience import Patience
from shared.comfy.records import Outcome, Place, ServerFile, Sighting, prompt_ids
from shared.comfy.server_facts import ServerFacts, parse_facts
from shared.comfy.submission import PartlyAccepted, Prompt, Submission
from shared.comfy.switchboard import Switchboard
from shared.comfy.untrusted import list_in
from shared.errors import UsageError
from shared.ids import new_id

__all__ = ["UPLOAD_FOLDER", "ComfyClient"]

UPLOAD_FOLDER = "safelight"
_FIRST_CANCEL_WAIT_S, _LONGEST_CANCEL_WAIT_S = 0.1, 1.0


class ComfyClient:
    """Long-lived: one for each server and process, made and closed within one event loop.

    Its client id is its own, so that no two processes take each other's messages away.
    """

    def __init__(
        self,
        url: str,
        *,
        authorization: str | None = None,
        patience: Patience | None = None,
        max_message_bytes: int = LARGEST_MESSAGE_BYTES,
    ) -> None:
        """`authorization` is the header of that name, where the address does not bring it. A message
        above `max_message_bytes` is not taken in; what it told is found by asking."""
        address = parse_address(url)
        if authorization is not None:
            address = replace(address, authorization=authorization)
        self.address = address.url
        self.client_id = new_id()
        self._patience = patience or Patience()
        self._endpoints = Endpoints(
            address=address, timeout_s=self._patience.answer_s, connect_timeout_s=self._patience.connect_s
        )
        self._lookout = Lookout(endpoints=self._endpoints)
        self._submission = Submission(
            endpoints=self._endpoints, lookout=self._lookout, patience=self._patience
        )
        self._switchboard = Switchboard(
            address=address,
            client_id=self.client_id,
            patience=self._patience,
            max_message_bytes=max_message_bytes,
        )
        self._catalogue: NodeCatalogue | None = None
        self._facts: ServerFacts | None = None
        self._unclaimed: dict[str, Feed] = {}
        self._in_flight: set[str] = set()

    async def aclose(self) -> None:
        await self._switchboard.aclose()
        await self._endpoints.aclose()

    async def facts(self, *, refresh: bool = False) -> ServerFacts:
        if self._facts is None or refresh:
            stats = await self._endpoints.get_object("/system_stats")
            self._facts = parse_facts(stats)
        return self._facts

    async def catalogue(self, *, refresh: bool = False) -> NodeCatalogue:
        """The server's node classes and file lists, kept until a refresh is asked for."""
        if self._catalogue is None or refresh:
            self._catalogue = parse_catalogue(await self._endpoints.get_object("/object_info"))
        return self._catalogue

    async def prompts(self) -> tuple[str, ...]:
        """Ids of all that runs or waits there, whoever sent it."""
        queue = await self._endpoints.get_object("/queue")
        listed = (queue.get("queue_running"), queue.get("queue_pending"))
        return tuple(prompt_id for items in listed for prompt_id in prompt_ids(items))

    async def model_folders(self) -> tuple[str, ...]:
        return await self._names("/models")

    async def models(self, folder: str) -> tuple[str, ...]:
        """File names in one of the server's model folders; none where it has no such folder."""
        return await self._names(f"/models/{quote(folder, safe='')}")

    async def upload(self, path: Path, *, name: str) -> UploadedFile:
        """Put an input file on the server. `name` is to be made from the content's digest: the
        server renames a file that differs from one of the same name, and keeps equal ones."""
        return await self._endpoints.upload(path, name=name, subfolder=UPLOAD_FOLDER)

    async def download(self, file: ServerFile, sink: BinaryIO, *, max_bytes: int) -> None:
        await self._endpoints.download(file, sink, max_bytes=max_bytes)

    async def free_memory(self) -> None:
        """Let the server drop its models and results once the running prompt is over."""
        await self._endpoints.post("/free", {"unload_models": True, "free_memory": True})

    async def is_known(self, prompt_id: str) -> bool:
        return await self._submission.is_known(prompt_id)

    async def sight(self, prompt_id: str) -> Sighting:
        return await self._lookout.sight(prompt_id)

    async def outcome(self, prompt_id: str) -> Outcome | None:
        return await self._lookout.outcome(prompt_id)

    async def submit(self, prompt: Prompt) -> None:
        """Queue a prompt, once. A prompt of which the server took only some outputs is cancelled."""
        if prompt.id not in self._unclaimed:
            self._unclaimed[prompt.id] = self._switchboard.open_feed(prompt.id)
        try:
            await self._send(prompt)
        except PartlyAccepted:
            await self.cancel(prompt.id)
            self.forget(prompt.id)
            raise
        except UsageError:
            self.forget(prompt.id)
            raise
        self._switchboard.expect_status()

    async def _send(self, prompt: Prompt) -> None:
        self._in_flight.add(prompt.id)
        try:
            await self._switchboard.connect()
            await self._submission.send(prompt)
        finally:
            self._in_flight.discard(prompt.id)

    async def follow(self, prompt_id: str, *, client_id: str) -> AsyncGenerator[News, None]:
        """News of a prompt until its outcome; `client_id` is the one it was sent with.

        Raises PromptLost, ServerUnreachable.
        """
        waiting = self._unclaimed.pop(prompt_id, None)
        feed = waiting or self._switchboard.open_feed(prompt_id)
        try:
            async with self._switchboard.socket(client_id) as socket:
                news = follow_prompt(
                    prompt_id,
                    feed=feed,
                    socket=socket,
                    lookout=self._lookout,
                    patience=self._patience,
                    is_fresh=waiting is not None,
                )
                async with contextlib.aclosing(news):
                    async for item in news:
                        yield item
        finally:
            self._switchboard.close_feed(prompt_id, feed)

    async def cancel(self, prompt_id: str) -> Outcome | None:
        """Stop a prompt; returns when it is certainly over, with its outcome, None if it left no trace.

        An interrupt that arrives before the prompt starts is lost, hence the repetition.
        """
        feed = self._switchboard.open_feed(prompt_id)
        wait_s, absences, answered_at = _FIRST_CANCEL_WAIT_S, 0, time.monotonic()
        try:
            while True:
                try:
                    await self._ask_to_stop(prompt_id)
                    sighting = await self._lookout.sight(prompt_id)
                    answered_at = time.monotonic()
                except (ServerUnreachable, ServerFaulty):
                    if time.monotonic() - answered_at > self._patience.unreachable_s:
                        raise
                    sighting = Place.RUNNING
                if not isinstance(sighting, Place):
                    return sighting
                is_absent = sighting is Place.ABSENT and prompt_id not in self._in_flight
                absences = absences + 1 if is_absent else 0
                if absences == 2:
                    self._switchboard.tell(Withdrawn(prompt_id), prompt_id)
                    return None
                await feed.wait_for_end(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_CANCEL_WAIT_S)
        finally:
            self._switchboard.close_feed(prompt_id, feed)

    async def erase(self, prompt_id: str) -> None:
        """Take an ended prompt out of the server's history; its files stay."""
        await self._endpoints.post("/history", {"delete": [prompt_id]})

    def forget(self, prompt_id: str) -> None:
        """Drop what is kept for a prompt that nobody will follow."""
        feed = self._unclaimed.pop(prompt_id, None)
        if feed is not None:
            self._switchboard.close_feed(prompt_id, feed)

    async def _ask_to_stop(self, prompt_id: str) -> None:
        if await self._lookout.has_jobs():
            await self._lookout.cancel_job(prompt_id)
            return
        await self._endpoints.post("/queue", {"delete": [prompt_id]})
        if (await self.facts()).interrupts_one_prompt:
            await self._endpoints.post("/interrupt", {"prompt_id": prompt_id})

    async def _names(self, path: str) -> tuple[str, ...]:
        answer = await self._endpoints.get(path)
        listed = list_in(answer.data) if answer.status == 200 else ()
        return tuple(name for name in listed if isinstance(name, str))
