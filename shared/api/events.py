"""The one JSON form of a JobEvent: an object tagged by `event`, the bytes of a preview in base64."""

import base64
import json
from collections.abc import Mapping

from pydantic import TypeAdapter

from shared.errors import FatalError, JsonValue
from shared.jobs.batch import BatchCompleted
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Preview,
    Progress,
    Queued,
    Requeued,
    Stage,
    Started,
)

__all__ = [
    "BATCH_COMPLETED",
    "TERMINAL_EVENTS",
    "MalformedEvent",
    "dump_batch_completed",
    "dump_event",
    "event_text",
    "parse_event",
]

_TYPES: Mapping[str, type[JobEvent]] = {
    "queued": Queued,
    "started": Started,
    "requeued": Requeued,
    "stage": Stage,
    "progress": Progress,
    "preview": Preview,
    "completed": Completed,
    "failed": Failed,
    "cancelled": Cancelled,
    "expired": Expired,
}
_TAGS = {kind: tag for tag, kind in _TYPES.items()}
_ADAPTERS: Mapping[str, TypeAdapter[JobEvent]] = {tag: TypeAdapter(kind) for tag, kind in _TYPES.items()}

BATCH_COMPLETED = "batch_completed"
_BATCH_ADAPTER = TypeAdapter(BatchCompleted)

TERMINAL_EVENTS = frozenset({"completed", "failed", "cancelled", "expired"})


class MalformedEvent(FatalError):
    """Not an event, or one of a kind that this version does not know; `details` hold the tag."""

    code = "malformed_event"


def dump_event(event: JobEvent) -> dict[str, JsonValue]:
    tag = _TAGS[type(event)]
    fields = _ADAPTERS[tag].dump_python(event, mode="python")
    if isinstance(event, Preview):
        fields["data"] = base64.b64encode(event.data).decode("ascii")
    if isinstance(event, Completed):
        fields["outputs"] = list(fields["outputs"])
    return {"event": tag, **fields, "at": event.at.isoformat()}


def dump_batch_completed(event: BatchCompleted) -> dict[str, JsonValue]:
    fields = _BATCH_ADAPTER.dump_python(event, mode="json")
    return {"event": BATCH_COMPLETED, **fields, "at": event.at.isoformat()}


def event_text(event: JobEvent) -> str:
    """The JSON form on one line."""
    return json.dumps(dump_event(event), ensure_ascii=False, separators=(",", ":"))


def parse_event(data: JsonValue) -> JobEvent:
    """Raises MalformedEvent. Fields that this version does not know are passed over."""
    tag = data.get("event") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(tag, str) or tag not in _ADAPTERS:
        raise MalformedEvent("this is no job event that this version knows", event=str(tag))
    fields = {name: value for name, value in data.items() if name != "event"}
    try:
        if tag == "preview":
            fields["data"] = base64.b64decode(str(fields["data"]), validate=True)
        return _ADAPTERS[tag].validate_python(fields)
    except (ValueError, KeyError) as error:
        raise MalformedEvent(f"this {tag} event is not well formed", event=tag) from error
