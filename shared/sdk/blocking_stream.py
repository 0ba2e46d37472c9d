"""Following a job without an event loop: by server-sent events, and by asking where they break off."""

import random
import time
from collections.abc import Callable, Iterator

import httpx

from shared.api.jobs import Job
from shared.jobs.events import Cancelled, Completed, Expired, Failed, JobEvent
from shared.sdk.polling import Seen
from shared.sdk.stream_place import StreamPlace

__all__ = ["follow_job_blocking"]

_SILENCE_S = 30.0
_OPEN_S = 5.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 3.0


def follow_job_blocking(get_job: Callable[[str], Job], job_id: str, place: StreamPlace) -> Iterator[JobEvent]:
    """Events from the job's first to exactly one terminal one. Raises what asking for the job raises."""
    seen, pause_s = Seen(), _FIRST_PAUSE_S
    while True:
        for event in _streamed(place):
            pause_s = _FIRST_PAUSE_S
            if seen.admits(event):
                yield event
            if isinstance(event, Completed | Failed | Cancelled | Expired):
                return
        for event in seen.events_of(get_job(job_id)):
            yield event
            if isinstance(event, Completed | Failed | Cancelled | Expired):
                return
        time.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


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
