"""Following a job without an event loop: by server-sent events, and by asking where they break off."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator

import httpx

from shared.api.jobs import Job
from shared.jobs.events import JobEvent, TerminalEvent
from shared.sdk.frames import frames, is_frames
from shared.sdk.pauses import Pauses
from shared.sdk.seen import Seen
from shared.sdk.stream_place import StreamPlace

__all__ = ["follow_job_blocking"]

_SILENCE_S = 30.0
_OPEN_S = 5.0


def follow_job_blocking(
    get_job: Callable[[str], Job],
    job_id: str,
    place: StreamPlace,
    opened: Generator[str, None, None] | None = None,
) -> Iterator[JobEvent]:
    """Events from the job's first to exactly one terminal one; `opened` is a stream of their frames that
    is there already. Raises what asking for the job raises."""
    seen, pauses = Seen(), Pauses()
    while True:
        texts, opened = opened or _streamed(place), None
        with contextlib.closing(texts):
            for event in (event for text in texts for event in place.parsed(text)):
                pauses.begin_anew()
                if seen.admits(event):
                    yield event
                if isinstance(event, TerminalEvent):
                    return
        for event in seen.events_of(get_job(job_id)):
            yield event
            if isinstance(event, TerminalEvent):
                return
        time.sleep(pauses.next_s())


def _streamed(place: StreamPlace) -> Generator[str, None, None]:
    """Ends early where the stream breaks, and at once where there is none."""
    headers = {**place.headers, "Accept": "text/event-stream"}
    timeout = httpx.Timeout(_OPEN_S, read=_SILENCE_S)
    try:
        with (
            httpx.Client(timeout=timeout) as client,
            client.stream("GET", place.url, headers=headers) as found,
        ):
            if is_frames(found):
                yield from frames(found)
    except httpx.TransportError:
        return
