"""Where accounts want to be told of what happens, and what they are told."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Table, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment, RowNumber

__all__ = ["WEBHOOKS", "WEBHOOK_DELIVERIES"]

_WAITING = text("state = 'waiting'")


class WebhookRow(SQLModel, table=True):
    """`secret` is sealed, and so is the one before it, which signs beside it until `old_secret_until`.

    `failing_since` is when a delivery failed that no other has succeeded after; `reason` says why it
    is disabled.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_account", "account_id", "number"),)
    number: int = Field(primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True, max_length=36)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    url: str = Field(sa_type=Text)
    description: str = Field(sa_type=Text)
    kinds: Any = Field(sa_type=JsonText)
    secret: str = Field(sa_type=Text)
    old_secret: str | None = Field(sa_type=Text, default=None)
    old_secret_until: datetime | None = Field(sa_type=Moment, default=None)
    state: str = Field(max_length=20)
    reason: str | None = Field(sa_type=Text, default=None)
    failing_since: datetime | None = Field(sa_type=Moment, default=None)
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment, default=None)


class WebhookDeliveryRow(SQLModel, table=True):
    """One message to one webhook, written with what it tells of: for that to succeed whatever becomes
    of the webhook meanwhile, nothing ties the two but `webhook_id`.

    `body` is what is sent, word for word, as often as it is sent. Whoever sends it has it until
    `taken_until`, which moves on while they live.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "message_id"),
        Index("ix_webhook_deliveries_due", "next_at", postgresql_where=_WAITING, sqlite_where=_WAITING),
        Index("ix_webhook_deliveries_webhook", "webhook_id", "number"),
        Index("ix_webhook_deliveries_created_at", "created_at"),
    )
    number: int = Field(primary_key=True, sa_type=RowNumber)
    webhook_id: str = Field(max_length=36)
    message_id: str = Field(max_length=50)
    kind: str = Field(max_length=50)
    body: str = Field(sa_type=Text)
    state: str = Field(max_length=20)
    tries: int = 0
    next_at: datetime = Field(sa_type=Moment)
    taken_until: datetime | None = Field(sa_type=Moment, default=None)
    status: int | None = None
    problem: str | None = Field(sa_type=Text, default=None)
    created_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment, default=None)


WEBHOOKS: Table = METADATA.tables["webhooks"]
WEBHOOK_DELIVERIES: Table = METADATA.tables["webhook_deliveries"]
