"""Webhooks: where accounts want to be told of what."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update

from cloud.repositories.now import Clock
from cloud.tables.webhook import WEBHOOK_DELIVERIES, WEBHOOKS
from shared.api.webhooks import WebhookKind, WebhookState

__all__ = ["NewWebhook", "WebhookRecord", "WebhookRows"]

_W = WEBHOOKS.c


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """`secret` is sealed."""

    id: str
    account_id: str
    url: str
    description: str
    kinds: Sequence[WebhookKind]
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord:
    id: str
    account_id: str
    url: str
    description: str
    kinds: tuple[WebhookKind, ...]
    state: WebhookState
    reason: str | None
    failing_since: datetime | None
    created_at: datetime
    disabled_at: datetime | None
    old_secret_until: datetime | None


_COLUMNS = [_W[field.name] for field in fields(WebhookRecord)]
_LISTENING = select(_W.id, _W.kinds).where(
    _W.account_id == bindparam("listener"), _W.state == WebhookState.ACTIVE
)


class WebhookRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, new: NewWebhook) -> WebhookRecord:
        row = {field.name: getattr(new, field.name) for field in fields(NewWebhook)}
        made = self._connection.execute(
            insert(WEBHOOKS)
            .values(
                **{**row, "kinds": list(new.kinds)}, state=WebhookState.ACTIVE, created_at=self._clock.now()
            )
            .returning(*_COLUMNS)
        ).one()
        return _record(made._mapping)

    def listening(self, account_id: str) -> dict[str, frozenset[str]]:
        """The account's active webhooks, and what each is to be told."""
        rows = self._connection.execute(_LISTENING, {"listener": account_id})
        return {row.id: frozenset(row.kinds) for row in rows}

    def all(self, account_id: str) -> tuple[WebhookRecord, ...]:
        """The oldest first."""
        rows = self._connection.execute(
            select(*_COLUMNS).where(_W.account_id == account_id).order_by(_W.number)
        )
        return tuple(_record(row._mapping) for row in rows)

    def count(self, account_id: str) -> int:
        found = select(func.count()).where(_W.account_id == account_id)
        return int(self._connection.execute(found).scalar_one())

    def find(self, account_id: str, webhook_id: str) -> WebhookRecord | None:
        """Another account's is not there."""
        row = self._connection.execute(
            select(*_COLUMNS).where(_W.id == webhook_id, _W.account_id == account_id)
        ).one_or_none()
        return None if row is None else _record(row._mapping)

    def enable(self, webhook_id: str) -> None:
        self._change(webhook_id, state=WebhookState.ACTIVE, reason=None, failing_since=None, disabled_at=None)

    def disable(self, webhook_id: str, reason: str) -> bool:
        """False if it was, or is no more."""
        done = self._connection.execute(
            update(WEBHOOKS)
            .where(_W.id == webhook_id, _W.state == WebhookState.ACTIVE)
            .values(state=WebhookState.DISABLED, reason=reason, disabled_at=self._clock.now())
        )
        return done.rowcount == 1

    def rotate(self, webhook_id: str, secret: str, *, old_for: timedelta) -> None:
        """`secret` is sealed; the one before it goes on signing beside it for so long."""
        until = self._clock.now(old_for)
        self._change(webhook_id, secret=secret, old_secret=_W.secret, old_secret_until=until)

    def remove(self, webhook_id: str) -> None:
        self._connection.execute(delete(WEBHOOKS).where(_W.id == webhook_id))
        self._connection.execute(
            delete(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.webhook_id == webhook_id)
        )

    def note_success(self, webhook_id: str) -> None:
        self._connection.execute(
            update(WEBHOOKS)
            .where(_W.id == webhook_id, _W.failing_since.is_not(None))
            .values(failing_since=None)
        )

    def note_failure(self, webhook_id: str) -> timedelta:
        """For how long every delivery has failed."""
        row = self._connection.execute(
            update(WEBHOOKS)
            .where(_W.id == webhook_id)
            .values(failing_since=func.coalesce(_W.failing_since, self._clock.now()))
            .returning(_W.failing_since, self._clock.now().label("now"))
        ).one_or_none()
        return timedelta(0) if row is None else row.now - row.failing_since

    def _change(self, webhook_id: str, **values: object) -> None:
        self._connection.execute(update(WEBHOOKS).where(_W.id == webhook_id).values(**values))


def _record(row: RowMapping) -> WebhookRecord:
    kinds = tuple(WebhookKind(kind) for kind in row["kinds"])
    return WebhookRecord(**{**row, "kinds": kinds, "state": WebhookState(row["state"])})
