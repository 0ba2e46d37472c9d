"""Following one prompt to its end: messages while they come, looks at the server whenever they do not."""

import time
from collections.abc import AsyncGenerator
from typing import assert_never

from shared.comfy.errors import PromptLost, ServerFaulty, ServerUnreachable
from shared.comfy.event_socket import EventSocket
from shared.comfy.feed import Feed
from shared.comfy.lookout import Lookout
from shared.comfy.messages import ExecutionStarted, PromptEnded, PromptOver, RunMessage, Withdrawn
from shared.comfy.patience import Patience
from shared.comfy.records import Interrupted, NodeFailure, Outcome, Place, Sighting, Succeeded

__all__ = ["News", "follow_prompt"]

News = RunMessage | Place | Outcome


async def follow_prompt(
    prompt_id: str, *, feed: Feed, socket: EventSocket, lookout: Lookout, patience: Patience, is_fresh: bool
) -> AsyncGenerator[News, None]:
    """News of the prompt, the last of which is its outcome.

    `is_fresh` says that the feed was open before the prompt was sent. Raises PromptLost, and
    ServerUnreachable when nothing answers for long.
    """
    watch = _Watch(socket, patience, is_fresh=is_fresh)
    while True:
        messages = await feed.take(watch.wait_s())
        is_over, must_look = False, not messages
        for message in messages or ():
            match message:
                case Withdrawn():
                    yield Interrupted()
                    return
                case PromptOver():
                    is_over = must_look = True
                case PromptEnded():
                    watch.end_announced = True
                case _:
                    watch.start_announced |= isinstance(message, ExecutionStarted)
                    yield message
        if not must_look:
            continue
        sighting = await _look(prompt_id, lookout, watch, is_over=is_over)
        if sighting is not None:
            watch.saw(sighting)
            if sighting is not Place.ABSENT:
                yield sighting
        if isinstance(sighting, Succeeded | NodeFailure | Interrupted):
            return


async def _look(prompt_id: str, lookout: Lookout, watch: "_Watch", *, is_over: bool) -> Sighting | None:
    """One look; None when the server did not answer this time."""
    try:
        outcome = await lookout.outcome(prompt_id) if is_over else None
        sighting: Sighting = outcome or await lookout.sight(prompt_id)
    except (ServerUnreachable, ServerFaulty) as error:
        watch.got_no_answer(error)
        return None
    watch.unanswered_since = None
    return sighting


class _Watch:
    """What was seen and heard so far, and how long to wait for more."""

    def __init__(self, socket: EventSocket, patience: Patience, *, is_fresh: bool) -> None:
        self.start_announced = False
        self.end_announced = False
        self.unanswered_since: float | None = None
        self._socket = socket
        self._patience = patience
        self._must_hear_start = is_fresh
        self._looked = is_fresh
        self._was_absent = False

    def wait_s(self) -> float:
        patience = self._patience
        if not self._looked:
            return 0.0
        if self._was_absent or self.unanswered_since is not None:
            return patience.lost_after_s
        if self.end_announced:
            return patience.settle_s
        return patience.poll_s if self._socket.is_open else patience.poll_blind_s

    def got_no_answer(self, error: ServerUnreachable | ServerFaulty) -> None:
        """A slow or restarting server is waited for; one that is gone for long is not."""
        self._looked = True
        now = time.monotonic()
        if self.unanswered_since is None:
            self.unanswered_since = now
        if now - self.unanswered_since > self._patience.unreachable_s:
            raise error

    def saw(self, sighting: Sighting) -> None:
        """Absence seen twice is loss; news that the socket should have brought says it is deaf."""
        self._looked = True
        match sighting:
            case Place.ABSENT:
                if self._was_absent:
                    raise PromptLost("the ComfyUI server no longer knows this run; was it restarted?")
                self._was_absent = True
                return
            case Place.PENDING:
                self._must_hear_start = True
            case Place.RUNNING:
                self._suspect(missed=self._must_hear_start and not self.start_announced)
                self._must_hear_start = False
            case Succeeded() | NodeFailure() | Interrupted():
                self._suspect(missed=self._must_hear_start and not self.end_announced)
            case _:
                assert_never(sighting)
        self._was_absent = False

    def _suspect(self, *, missed: bool) -> None:
        limit = self._patience.deaf_after_s if missed else self._patience.silent_after_s
        if self._socket.is_open and self._socket.silent_s > limit:
            self._socket.reopen()
