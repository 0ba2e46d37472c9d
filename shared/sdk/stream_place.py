"""Where the events of a job are had, and how far they were read."""

import json
from urllib.parse import quote

from shared.api.events import MalformedEvent, parse_event
from shared.jobs.events import JobEvent
from shared.sdk.operations import API
from shared.sdk.transport import key_headers

__all__ = ["StreamPlace"]


class StreamPlace:
    def __init__(self, job_id: str, *, server_url: str, api_key: str) -> None:
        self.headers = key_headers(api_key)
        self._url = f"{server_url.rstrip('/')}{API}/jobs/{quote(job_id, safe='')}/events"
        self._after: int | None = None

    @property
    def url(self) -> str:
        """Of what comes after the last event that was parsed."""
        return self._url if self._after is None else f"{self._url}?after={self._after}"

    def parsed(self, text: str) -> tuple[JobEvent, ...]:
        """One event, or none where this version does not know the kind."""
        try:
            data = json.loads(text)
            event = parse_event(data)
        except (ValueError, MalformedEvent):
            return ()
        number = data.get("number")
        if isinstance(number, int):
            self._after = number
        return (event,)
