"""What webhooks are told: written with what it tells of, taken by whoever sends it, noted afterwards."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, insert, literal_column, or_, select, update

from cloud.repositories.fair_share import fair_share
from cloud.repositories.now import NOW, Clock
from cloud.tables.webhook import WEBHOOK_DELIVERIES, WEBHOOKS
from shared.api.webhooks import DeliveryState, WebhookKind, WebhookState

__all__ = ["DeliveryRecord", "DeliveryRows", "Message", "Outgoing"]

_D = WEBHOOK_DELIVERIES.c
_W = WEBHOOKS.c
_WAITS = _D.state == literal_column("'waiting'")  # as the index has it, so that SQLite uses that
_IS_DUE = and_(_WAITS, _D.next_at <= NOW, or_(_D.taken_until.is_(None), _D.taken_until < NOW))
_SOME_DUE = select(select(_D.number).where(_IS_DUE).exists())  # built once: it is asked with every event
_ADD = insert(WEBHOOK_DELIVERIES).values(state=DeliveryState.WAITING, tries=0, created_at=NOW, next_at=NOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`id` is the same for every webhook that is told."""

    id: str
    kind: WebhookKind
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A delivery that is the caller's to send while its lease lasts; `tries` counts this one, and tells it
    from the others. The secrets are sealed."""

    number: int
    message_id: str
    webhook_id: str
    account_id: str
    url: str
    secrets: tuple[str, ...]
    body: str
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    number: int
    message_id: str
    kind: WebhookKind
    body: str
    state: DeliveryState
    tries: int
    status: int | None
    problem: str | None
    created_at: datetime
    next_at: datetime
    ended_at: datetime | None


class DeliveryRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, webhook_ids: Collection[str], message: Message) -> None:
        row = {"message_id": message.id, "kind": message.kind.value, "body": message.body}
        rows = [{"webhook_id": webhook_id, **row, **self._clock.stamps} for webhook_id in webhook_ids]
        if rows:
            self._connection.execute(_ADD, rows)

    def is_some_due(self) -> bool:
        """Also where those that are due may not be taken just now."""
        return bool(self._connection.execute(_SOME_DUE, self._clock.stamps).scalar_one())

    def take(
        self, *, most: int, each: int, busy: Mapping[str, int], lease: timedelta
    ) -> tuple[Outgoing, ...]:
        """Up to `most` that are due, the longest first; of no webhook more than `each`, with those that
        are `busy` by its id."""
        chosen = fair_share(self._due, most=most, each=each, busy=busy)
        return self._taken(chosen, lease) if chosen else ()

    def renew(self, sent: Outgoing, lease: timedelta) -> bool:
        """False if it is no longer the caller's."""
        return self._note(sent, taken_until=self._clock.now(lease))

    def let_go(self, sent: Outgoing) -> bool:
        """Others may take it at once."""
        return self._note(sent, taken_until=None)

    def delivered(self, sent: Outgoing, *, status: int) -> bool:
        """False if it is no longer the caller's."""
        return self._end(sent, DeliveryState.DELIVERED, status=status, problem=None)

    def dead(self, sent: Outgoing, *, status: int | None, problem: str) -> bool:
        return self._end(sent, DeliveryState.DEAD, status=status, problem=problem)

    def again(self, sent: Outgoing, *, after: timedelta, status: int | None, problem: str) -> bool:
        next_at = self._clock.now(after)
        return self._note(sent, next_at=next_at, taken_until=None, status=status, problem=problem)

    def release(self) -> int:
        """Nobody sends anything just now."""
        taken = update(WEBHOOK_DELIVERIES).where(
            _D.state == DeliveryState.WAITING, _D.taken_until.is_not(None)
        )
        return self._connection.execute(taken.values(taken_until=None)).rowcount

    def give_up(self, webhook_id: str, problem: str) -> int:
        """All that wait are dead."""
        done = self._connection.execute(
            update(WEBHOOK_DELIVERIES)
            .where(_D.webhook_id == webhook_id, _D.state == DeliveryState.WAITING)
            .values(state=DeliveryState.DEAD, problem=problem, ended_at=self._clock.now(), taken_until=None)
        )
        return done.rowcount

    def replay(self, webhook_id: str, message_id: str) -> bool:
        """It is due now, whatever became of it. False if there is none."""
        return self._replay(_D.webhook_id == webhook_id, _D.message_id == message_id) == 1

    def replay_dead(self, webhook_id: str, since: datetime) -> int:
        return self._replay(
            _D.webhook_id == webhook_id, _D.state == DeliveryState.DEAD, _D.created_at >= since
        )

    def page(
        self, webhook_id: str, *, state: DeliveryState | None, before: int | None, limit: int
    ) -> tuple[DeliveryRecord, ...]:
        """Newest first."""
        query = select(WEBHOOK_DELIVERIES).where(_D.webhook_id == webhook_id)
        if state is not None:
            query = query.where(_D.state == state)
        if before is not None:
            query = query.where(_D.number < before)
        return tuple(map(_record, self._connection.execute(query.order_by(_D.number.desc()).limit(limit))))

    def find(self, webhook_id: str, message_id: str) -> DeliveryRecord | None:
        row = self._connection.execute(
            select(WEBHOOK_DELIVERIES).where(_D.webhook_id == webhook_id, _D.message_id == message_id)
        ).one_or_none()
        return None if row is None else _record(row)

    def forget(self, *, delivered: timedelta, dead: timedelta) -> int:
        """Those that were made so long ago, and those whose webhook is no more."""
        gone = _D.webhook_id.not_in(select(_W.id))
        old = or_(
            and_(_D.state == DeliveryState.DELIVERED, _D.created_at < self._clock.now(-delivered)),
            and_(_D.state == DeliveryState.DEAD, _D.created_at < self._clock.now(-dead)),
        )
        return self._connection.execute(delete(WEBHOOK_DELIVERIES).where(or_(old, gone))).rowcount

    def _due(self, limit: int, full: Collection[str], chosen: Collection[int]) -> Sequence[tuple[int, str]]:
        rows = self._connection.execute(
            select(_D.number, _D.webhook_id)
            .join(WEBHOOKS, _W.id == _D.webhook_id)
            .where(
                _IS_DUE,
                _W.state == WebhookState.ACTIVE,
                _D.webhook_id.not_in(full),
                _D.number.not_in(chosen),
            )
            .order_by(_D.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=WEBHOOK_DELIVERIES),
            self._clock.stamps,
        )
        return [(row.number, row.webhook_id) for row in rows]

    def _taken(self, chosen: Mapping[int, str], lease: timedelta) -> tuple[Outgoing, ...]:
        self._connection.execute(
            update(WEBHOOK_DELIVERIES)
            .where(_D.number.in_(chosen))
            .values(taken_until=self._clock.now(lease), tries=_D.tries + 1)
        )
        both = case((_W.old_secret_until > self._clock.now(), _W.old_secret))
        rows = self._connection.execute(
            select(WEBHOOK_DELIVERIES, _W.account_id, _W.url, _W.secret, both.label("old"))
            .join(WEBHOOKS, _W.id == _D.webhook_id)
            .where(_D.number.in_(chosen))
            .order_by(_D.number)
        )
        return tuple(
            Outgoing(
                number=row.number,
                message_id=row.message_id,
                webhook_id=row.webhook_id,
                account_id=row.account_id,
                url=row.url,
                secrets=tuple(secret for secret in (row.secret, row.old) if secret is not None),
                body=row.body,
                tries=row.tries,
            )
            for row in rows
        )

    def _end(self, sent: Outgoing, state: DeliveryState, *, status: int | None, problem: str | None) -> bool:
        now = self._clock.now()
        return self._note(sent, state=state, ended_at=now, taken_until=None, status=status, problem=problem)

    def _note(self, sent: Outgoing, **values: object) -> bool:
        done = self._connection.execute(
            update(WEBHOOK_DELIVERIES)
            .where(
                _D.number == sent.number,
                _D.state == DeliveryState.WAITING,
                _D.tries == sent.tries,
                _D.taken_until.is_not(None),
            )
            .values(**values)
        )
        return done.rowcount == 1

    def _replay(self, *which: Any) -> int:
        done = self._connection.execute(
            update(WEBHOOK_DELIVERIES)
            .where(*which)
            .values(
                state=DeliveryState.WAITING,
                tries=0,
                next_at=self._clock.now(),
                taken_until=None,
                ended_at=None,
            )
        )
        return done.rowcount


def _record(row: Row[Any]) -> DeliveryRecord:
    return DeliveryRecord(
        number=row.number,
        message_id=row.message_id,
        kind=WebhookKind(row.kind),
        body=row.body,
        state=DeliveryState(row.state),
        tries=row.tries,
        status=row.status,
        problem=row.problem,
        created_at=row.created_at,
        next_at=row.next_at,
        ended_at=row.ended_at,
    )
