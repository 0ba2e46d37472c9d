"""What webhooks are told, as the body that is sent: the event, and a summary of what it is about."""

import json
from collections.abc import Mapping
from datetime import datetime

from cloud.repositories.deliveries import Message
from cloud.repositories.unit import Unit
from cloud.repositories.webhooks import WebhookRecord
from shared.api.events import dump_batch_completed, dump_event
from shared.api.webhooks import WebhookKind
from shared.errors import JsonValue
from shared.ids import new_id
from shared.jobs.batch import BatchCompleted
from shared.jobs.events import Cancelled, Completed, Expired, Failed, TerminalEvent

__all__ = ["batch_message", "disabled_message", "job_message", "ping_message", "tell"]

_KINDS: Mapping[type[TerminalEvent], WebhookKind] = {
    Completed: WebhookKind.JOB_COMPLETED,
    Failed: WebhookKind.JOB_FAILED,
    Cancelled: WebhookKind.JOB_CANCELLED,
    Expired: WebhookKind.JOB_EXPIRED,
}


def job_message(event: TerminalEvent, *, preset: str, batch_id: str | None, price: int) -> Message:
    job: dict[str, JsonValue] = {
        "id": event.job_id,
        "state": _KINDS[type(event)].removeprefix("job."),
        "preset": preset,
        "batch": batch_id,
        "price": price,
    }
    return _message(_KINDS[type(event)], event.at, {"job": job, "event": dump_event(event)})


def batch_message(event: BatchCompleted) -> Message:
    counts = dump_batch_completed(event)
    batch = {name: counts[name] for name in ("total", "completed", "failed", "cancelled", "expired")}
    return _message(
        WebhookKind.BATCH_COMPLETED, event.at, {"batch": {"id": event.batch_id, **batch}, "event": counts}
    )


def disabled_message(webhook: WebhookRecord, reason: str, at: datetime) -> Message:
    return _message(WebhookKind.WEBHOOK_DISABLED, at, {"webhook": {"id": webhook.id, "reason": reason}})


def ping_message(webhook_id: str, at: datetime) -> Message:
    return _message(WebhookKind.PING, at, {"webhook": {"id": webhook_id}})


def tell(unit: Unit, listening: Mapping[str, frozenset[str]], message: Message) -> None:
    """Every one of these webhooks that is to be told of such."""
    unit.deliveries.add([id_ for id_, kinds in listening.items() if message.kind in kinds], message)


def _message(kind: WebhookKind, at: datetime, data: JsonValue) -> Message:
    body = {"type": kind.value, "timestamp": at.isoformat(), "data": data}
    return Message(id=f"msg_{new_id()}", kind=kind, body=json.dumps(body, separators=(",", ":")))
