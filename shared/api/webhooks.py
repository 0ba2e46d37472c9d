"""Webhooks on the wire: where an account is told of what happens, and what it was told."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.api.lines import LINE_OR_NOTHING
from shared.api.moments import Moment

__all__ = [
    "Delivery",
    "DeliveryPage",
    "DeliveryState",
    "ReplayRequest",
    "Replayed",
    "Webhook",
    "WebhookKind",
    "WebhookList",
    "WebhookMade",
    "WebhookRequest",
    "WebhookState",
]


class WebhookKind(StrEnum):
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_EXPIRED = "job.expired"
    BATCH_COMPLETED = "batch.completed"
    WEBHOOK_DISABLED = "webhook.disabled"  # another one of the account's
    PING = "ping"  # when asked for, whatever the webhook is told else


class WebhookState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """A dead one is tried no more, until it is replayed."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


_ALL: list[WebhookKind] = [kind for kind in WebhookKind if kind is not WebhookKind.PING]


class WebhookRequest(BaseModel):
    """`url` is an https:// URL on the internet, without a port; `events` are the kinds to be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[
        str, Field(min_length=1, max_length=2000, json_schema_extra={"pattern": r"^https://[^\s/]"})
    ]
    events: Annotated[list[WebhookKind], Field(min_length=1, max_length=len(WebhookKind))] = _ALL
    description: Annotated[str, Field(max_length=200, pattern=LINE_OR_NOTHING)] = ""


class Webhook(BaseModel):
    """`reason` says why it is disabled. `failing_since` is set while deliveries fail. Until
    `old_secret_until`, messages are signed with the secret before the last rotation as well."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    events: list[WebhookKind]
    description: str
    state: WebhookState
    reason: str | None
    failing_since: datetime | None
    created_at: datetime
    disabled_at: datetime | None
    old_secret_until: datetime | None


class WebhookMade(BaseModel):
    """`secret` is told this once."""

    model_config = ConfigDict(frozen=True)

    webhook: Webhook
    secret: str


class WebhookList(BaseModel):
    """The oldest first."""

    model_config = ConfigDict(frozen=True)

    webhooks: list[Webhook]


class Delivery(BaseModel):
    """`id` is the `webhook-id` under which it is sent, as often as it is. `status` is what the last try
    was answered with, `problem` why it failed; `next_at` is when a waiting one is tried again."""

    model_config = ConfigDict(frozen=True)

    id: str
    event: WebhookKind
    state: DeliveryState
    tries: int
    status: int | None
    problem: str | None
    created_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    payload: dict[str, JsonValue]


class DeliveryPage(BaseModel):
    """Newest first. `next_cursor` asks for the page after this one; None at the end."""

    model_config = ConfigDict(frozen=True)

    deliveries: list[Delivery]
    next_cursor: str | None


class ReplayRequest(BaseModel):
    """Every dead delivery that was made then or later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment


class Replayed(BaseModel):
    model_config = ConfigDict(frozen=True)

    count: int
