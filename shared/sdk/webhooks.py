"""Webhooks that come from the cloud: whether they do, and what they say."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import time

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, ValidationError

from shared.api.webhook_signatures import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    webhook_signature,
)
from shared.errors import UsageError

__all__ = ["BadSignature", "WebhookMessage", "verify"]

_TOLERANCE = timedelta(minutes=5)


class BadSignature(UsageError):
    """It does not come from the cloud, or not now, or not to this webhook: answer with 400."""

    code = "bad_signature"


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """`id` is the same however often the message comes. `type` is like `job.completed`; `data` holds a
    summary of the job or the batch, and the event."""

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, JsonValue]


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: str
    timestamp: AwareDatetime
    data: dict[str, JsonValue]


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    tolerance: timedelta = _TOLERANCE,
    now: Callable[[], float] = time,
) -> WebhookMessage:
    """The message, if it was signed with `secret` (`whsec_…`) not longer ago than `tolerance`.

    `body` are the bytes as they came. Raises BadSignature, and BadWebhookSecret.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id = _needed(given, ID_HEADER)
    signatures = _needed(given, SIGNATURE_HEADER).split()
    timestamp = _timestamp(_needed(given, TIMESTAMP_HEADER))
    if abs(now() - timestamp) > tolerance.total_seconds():
        raise BadSignature("this webhook is too old, or of the future; check the clock of this machine")
    wanted = webhook_signature(secret, message_id, timestamp, body).encode()
    matches = [hmac.compare_digest(wanted, found.encode("utf-8", "replace")) for found in signatures]
    if not any(matches):
        raise BadSignature("this webhook was not signed with this secret")
    return _message(message_id, body)


def _needed(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise BadSignature(f"this is no webhook of ours: it has no header {name}")
    return value


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadSignature(f"this is no webhook of ours: its header {TIMESTAMP_HEADER} holds no time")
    return int(text)


def _message(message_id: str, body: bytes) -> WebhookMessage:
    try:
        payload = _Payload.model_validate_json(body)
    except ValidationError as error:
        raise BadSignature("this webhook is signed, but it says nothing that we know") from error
    return WebhookMessage(message_id, payload.type, payload.timestamp, payload.data)
