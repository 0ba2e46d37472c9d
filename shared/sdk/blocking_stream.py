"""Following a job without an event loop: by server-sent events, and by asking where they break off."""

import time
from collections.abc import Callable, Iterator

import httpx

from shared.api.jobs import Job
from shared.jobs.events import JobEvent, TerminalEvent
from shared.sdk.pauses import Pauses
from shared.sdk.seen import Seen
from shared.sdk.stream_place import StreamPlace

__all__ = ["follow_job_blocking"]

_SILENCE_S = 30.0
_OPEN_S = 5.0


def follow_job_blocking(get_job: Callable[[str], Job], job_id: str, place: StreamPlace) -> Iterator[JobEvent]:
    """Events from the job's first to exactly one terminal one. Raises what asking for the job raises."""
    seen, pauses = Seen(), Pauses()
    while True:
        for event in _streamed(place):
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


def _streamed(place: StreamPlace) -> Iterator[JobEvent]:
    """Ends early where the stream breaks, and at once where there is none."""
    headers = {**place.headers, "Accept": "text/event-stream"}
    timeout = httpx.Timeout(_OPEN_S, read=_SILENCE_S)
    try:
        with (
            httpx.Client(timeout=timeout) as client,
            client.stream("GET", place.url, headers=headers) as found,
        ):
            if not found.headers.get("content-type", "").startswith("text/event-stream"):
                return
            for line in found.iter_lines():
                if line.startswith("data:"):
                    yield from place.parsed(line.removeprefix("data:").strip())
    except httpx.TransportError:
        return
