"""GPU servers: as the operator registered them, and what is known of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    String,
    and_,
    bindparam,
    delete,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import Update

from cloud.repositories.now import SEEN_SINCE, Clock
from cloud.repositories.upsert import insert
from cloud.tables.server import SERVERS
from shared.api.servers import BreakerState, ServerState
from shared.engines.base import Capabilities
from shared.errors import JsonValue

__all__ = [
    "FARES_WELL",
    "SEEN_LATELY",
    "Breaker",
    "NewServer",
    "ServerFacts",
    "ServerRecord",
    "ServerRows",
    "Switch",
]

_S = SERVERS.c

SEEN_LATELY = timedelta(seconds=90)  # its leader looks at it every few seconds

# That it can be relied on. Takes the clock's stamps since SEEN_LATELY.
FARES_WELL = and_(
    _S.state != ServerState.DISABLED, _S.breaker == BreakerState.CLOSED, _S.seen_at > SEEN_SINCE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """`failures` in a row while it is closed; `openings` since it last worked well. `trouble` is the
    last failure, in a sentence."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    openings: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says of itself, now and then; None where it does not say."""

    version: str | None = None
    device: str | None = None
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    queue_length: int | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """Mean seconds from the start to the first progress: with the models to load, and without."""

    cold_s: float | None = None
    warm_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewServer:
    """`credential` is sealed."""

    id: str
    name: str
    url: str
    credential: str | None
    pool: str
    capacity: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """As of `read_at`, by the database's clock. What the server can run is read by itself."""

    id: str
    name: str
    url: str
    credential: str | None = field(repr=False)
    pool: str
    capacity: int
    labels: Mapping[str, str]
    state: ServerState
    created_at: datetime
    facts: ServerFacts
    said_at: datetime | None
    seen_at: datetime | None
    breaker: Breaker
    led_by: str | None
    lead_until: datetime | None
    preset: str | None
    preset_since: datetime | None
    switches: Mapping[str, Switch]
    read_at: datetime

    @property
    def is_led(self) -> bool:
        return self.led_by is not None and self.lead_until is not None and self.lead_until > self.read_at

    @property
    def takes_work(self) -> bool:
        return self.state is ServerState.ACTIVE and self.breaker.state is BreakerState.CLOSED and self.is_led


_FACTS = [field.name for field in fields(ServerFacts)]
_HEAVY = {"capabilities"}
_COLUMNS = [column for column in SERVERS.c if column.name not in _HEAVY]


class ServerRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, server: NewServer) -> bool:
        """False where another has the name or the address, even one that came a moment ago."""
        row = {
            "id": server.id,
            "name": server.name,
            "url": server.url,
            "credential": server.credential,
            "pool": server.pool,
            "capacity": server.capacity,
            "labels": dict(server.labels),
            "state": ServerState.ACTIVE,
            "created_at": self._clock.now(),
            "capabilities": None,
            "breaker": BreakerState.CLOSED,
            "failures": 0,
            "openings": 0,
            "switches": {},
        }
        statement = insert(self._connection, SERVERS).values(row).on_conflict_do_nothing()
        return self._connection.execute(statement.returning(_S.id)).first() is not None

    def all(self, *, pool: str | None = None) -> tuple[ServerRecord, ...]:
        query = self._select().order_by(_S.name)
        rows = self._connection.execute(query if pool is None else query.where(_S.pool == pool))
        return tuple(_record(row) for row in rows)

    def find(self, name: str) -> ServerRecord | None:
        row = self._connection.execute(self._select().where(_S.name == name)).one_or_none()
        return None if row is None else _record(row)

    def has_url(self, url: str) -> bool:
        return bool(self._connection.execute(select(exists().where(_S.url == url))).scalar_one())

    def labels_in(self, pool: str) -> tuple[Mapping[str, str], ...]:
        """Those of each server that was registered for the pool, and not disabled."""
        return tuple(self._connection.execute(_LABELS, {"wanted_pool": pool}).scalars())

    def set_state(self, name: str, state: ServerState) -> None:
        self._change(name, state=state)

    def set_credential(self, name: str, credential: str | None) -> None:
        self._change(name, credential=credential)

    def remove(self, name: str) -> None:
        self._connection.execute(delete(SERVERS).where(_S.name == name))

    def note_facts(self, name: str, facts: ServerFacts) -> None:
        """The server has answered."""
        said = {column: getattr(facts, column) for column in _FACTS}
        self._change(name, seen_at=self._clock.now(), **said)

    def note_capabilities(self, name: str, capabilities: Capabilities | None) -> None:
        """What it can run, as it says now; None while that is not known."""
        said_at = None if capabilities is None else self._clock.now()
        self._change(name, capabilities=_data(capabilities), said_at=said_at)

    def capabilities(self, pool: str) -> Mapping[str, tuple[Capabilities, datetime]]:
        """What each server said, and when, by name; those that said nothing are not among them."""
        rows = self._connection.execute(
            select(_S.name, _S.capabilities, _S.said_at).where(_S.pool == pool, _S.said_at.is_not(None))
        )
        return {row.name: (_capabilities(row.capabilities), row.said_at) for row in rows}

    def set_breaker(self, name: str, breaker: Breaker) -> None:
        self._change(
            name,
            breaker=breaker.state,
            failures=breaker.failures,
            openings=breaker.openings,
            opened_at=breaker.opened_at,
            retry_at=breaker.retry_at,
            trouble=breaker.trouble,
        )

    def hold(self, name: str, preset: str) -> None:
        """It has this preset's models, from now on unless it had them already."""
        statement = _server(name).where(or_(_S.preset.is_(None), _S.preset != preset))
        self._connection.execute(statement.values(preset=preset, preset_since=self._clock.now()))

    def hold_nothing(self, name: str) -> None:
        self._change(name, preset=None, preset_since=None)

    def set_switches(self, name: str, switches: Mapping[str, Switch]) -> None:
        self._change(
            name, switches={preset: [switch.cold_s, switch.warm_s] for preset, switch in switches.items()}
        )

    def _select(self) -> Select[Any]:
        return select(*_COLUMNS, self._clock.now().label("read_at"))

    def _change(self, name: str, **values: Any) -> None:
        self._connection.execute(_server(name).values(**values))


# Built once: it is asked with every submission for a server.
_LABELS = select(_S.labels).where(
    _S.pool == bindparam("wanted_pool", type_=String), _S.state != ServerState.DISABLED
)


def _server(name: str) -> Update:
    return update(SERVERS).where(_S.name == name)


def _record(row: Row[Any]) -> ServerRecord:
    return ServerRecord(
        id=row.id,
        name=row.name,
        url=row.url,
        credential=row.credential,
        pool=row.pool,
        capacity=row.capacity,
        labels=row.labels,
        state=ServerState(row.state),
        created_at=row.created_at,
        facts=ServerFacts(**{name: row._mapping[name] for name in _FACTS}),
        said_at=row.said_at,
        seen_at=row.seen_at,
        breaker=Breaker(
            state=BreakerState(row.breaker),
            failures=row.failures,
            openings=row.openings,
            opened_at=row.opened_at,
            retry_at=row.retry_at,
            trouble=row.trouble,
        ),
        led_by=row.led_by,
        lead_until=row.lead_until,
        preset=row.preset,
        preset_since=row.preset_since,
        switches={preset: Switch(cold, warm) for preset, (cold, warm) in row.switches.items()},
        read_at=row.read_at,
    )


def _data(capabilities: Capabilities | None) -> JsonValue:
    if capabilities is None:
        return None
    classes = capabilities.node_classes
    return {
        "node_classes": None if classes is None else sorted(classes),
        "models": {folder: list(names) for folder, names in capabilities.models.items()},
    }


def _capabilities(data: dict[str, Any]) -> Capabilities:
    classes = data["node_classes"]
    return Capabilities(
        node_classes=None if classes is None else frozenset(classes),
        models={folder: tuple(names) for folder, names in data["models"].items()},
    )
