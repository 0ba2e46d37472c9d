"""Jobs as their owners see them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select

from cloud.repositories.lanes import Lane
from cloud.repositories.now import LATER, NOW, Clock
from cloud.tables.job import ATTEMPTS, JOBS, OUTPUTS
from shared.api.jobs import AttemptEnd
from shared.errors import JsonValue
from shared.jobs.events import Output, OutputKind, StageName
from shared.jobs.state import JobState

__all__ = [
    "UNKNOWN_ORIGIN",
    "AttemptRecord",
    "GivenFile",
    "InputName",
    "InputUrl",
    "JobFilter",
    "JobRecord",
    "JobRows",
    "NewJob",
    "Origin",
    "given_inputs_of",
    "inputs_of",
    "new_job_row",
]

_A = ATTEMPTS.c
_J = JOBS.c


@dataclass(frozen=True, slots=True)
class InputName:
    """An artifact and the user's name for it."""

    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class InputUrl:
    """Where a file is still to be fetched from, and the user's name for it."""

    url: str
    name: str


GivenFile = InputName | InputUrl


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that a job came with, and the trace it is part of (W3C's traceparent)."""

    request_id: str | None = None
    trace: str | None = None


UNKNOWN_ORIGIN = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """With files to fetch, it waits in the lane of those, and then `enters` another pool.

    `expires_in` is how long it may wait; without, as long as everything may. `price_basis` is JSON."""

    id: str
    lane: Lane
    preset_version: str
    preset_digest: str
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[GivenFile, ...]]
    enters: str | None = None
    idempotency_key: str | None = None
    retry_of: str | None = None
    price: int = 0
    price_basis: str | None = None
    expected_s: float | None = None
    expires_in: timedelta | None = None
    batch_id: str | None = None
    batch_index: int | None = None
    graph: str | None = None
    origin: Origin = UNKNOWN_ORIGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """`number` orders the jobs; `outputs` are loaded for completed ones."""

    number: int
    id: str
    account_id: str
    pool: str
    priority: int
    preset_id: str
    preset_version: str
    preset_digest: str
    models: str
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[GivenFile, ...]]
    idempotency_key: str | None
    retry_of: str | None
    state: JobState
    stage: StageName | None
    attempt: int
    cancel_requested_at: datetime | None
    failure_code: str | None
    failure_message: str | None
    failure_retryable: bool | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    price: int
    price_basis: str | None
    expected_s: float | None
    expires_at: datetime | None
    batch_id: str | None
    batch_index: int | None
    outputs: tuple[Output, ...]

    @property
    def lane(self) -> Lane:
        return Lane(self.pool, self.priority, self.account_id, self.preset_id, self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One try at a job; `begun_at` is when its execution began, `end` how it ended."""

    number: int
    engine: str | None
    engine_version: str | None
    server_class: str | None
    claimed_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    end: AttemptEnd | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """`before` is the number of the last job of the page before; `created_until` is not among them."""

    states: tuple[JobState, ...] = ()
    preset_id: str | None = None
    batch_id: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    idempotency_key: str | None = None
    before: int | None = None


_ADD = insert(JOBS).values(created_at=NOW, queued_at=NOW).inline()  # built once
_ADD_EXPIRING = insert(JOBS).values(created_at=NOW, queued_at=NOW, expires_at=LATER).inline()
_COLUMNS = [_J[field.name] for field in fields(JobRecord) if field.name != "outputs"]
_OUTPUT_COLUMNS = [column for column in OUTPUTS.c if column is not OUTPUTS.c.recipe]


class JobRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, job: NewJob) -> None:
        self.add_all((job,))

    def add_all(self, jobs: Sequence[NewJob]) -> None:
        """In this order; all may wait equally long."""
        expires_in = jobs[0].expires_in
        stamps = self._clock.stamps if expires_in is None else self._clock.stamps_until(expires_in)
        self._connection.execute(
            _ADD if expires_in is None else _ADD_EXPIRING, [new_job_row(job) | stamps for job in jobs]
        )

    def find(self, account_id: str, job_id: str) -> JobRecord | None:
        """With its outputs; another account's job is not there."""
        row = self._connection.execute(
            select(*_COLUMNS).where(_J.id == job_id, _J.account_id == account_id)
        ).one_or_none()
        return None if row is None else _record(row._mapping, self._outputs([row.id]))

    def of_batch(self, batch_id: str, states: Collection[JobState]) -> tuple[JobRecord, ...]:
        """In the order of the batch, without outputs."""
        rows = self._connection.execute(
            select(*_COLUMNS).where(_J.batch_id == batch_id, _J.state.in_(states)).order_by(_J.batch_index)
        )
        return tuple(_record(row._mapping, {}) for row in rows)

    def graph_of(self, job_id: str) -> str | None:
        """As JSON; None where the job runs a preset."""
        graph: str | None = self._connection.execute(select(_J.graph).where(_J.id == job_id)).scalar_one()
        return graph

    def attempts(self, job_id: str) -> tuple[AttemptRecord, ...]:
        """The first one first."""
        rows = self._connection.execute(
            select(
                _A.attempt.label("number"),
                _A.engine,
                _A.engine_version,
                func.coalesce(_A.server_class, _A.engine).label("server_class"),
                _A.claimed_at,
                _A.begun_at,
                _A.ended_at,
                _A.end,
            )
            .where(_A.job_id == job_id)
            .order_by(_A.attempt)
        )
        return tuple(_attempt(row._mapping) for row in rows)

    def page(self, account_id: str, wanted: JobFilter, limit: int) -> tuple[JobRecord, ...]:
        """Newest first."""
        query = select(*_COLUMNS).where(_J.account_id == account_id)
        if wanted.states:
            query = query.where(_J.state.in_(wanted.states))
        if wanted.preset_id is not None:
            query = query.where(_J.preset_id == wanted.preset_id)
        if wanted.batch_id is not None:
            query = query.where(_J.batch_id == wanted.batch_id)
        if wanted.created_from is not None:
            query = query.where(_J.created_at >= wanted.created_from)
        if wanted.created_until is not None:
            query = query.where(_J.created_at < wanted.created_until)
        if wanted.idempotency_key is not None:
            query = query.where(_J.idempotency_key == wanted.idempotency_key)
        if wanted.before is not None:
            query = query.where(_J.number < wanted.before)
        rows = self._connection.execute(query.order_by(_J.number.desc()).limit(limit)).all()
        outputs = self._outputs([row.id for row in rows if row.state == JobState.COMPLETED])
        return tuple(_record(row._mapping, outputs) for row in rows)

    def recipe(self, account_id: str, job_id: str, position: int) -> str | None:
        """Of one output, as it was written; None where there is none."""
        found = self._connection.execute(
            select(OUTPUTS.c.recipe)
            .join(JOBS, _J.id == OUTPUTS.c.job_id)
            .where(_J.account_id == account_id, _J.id == job_id, OUTPUTS.c.position == position)
        ).scalar_one_or_none()
        return None if found is None else str(found)

    def _outputs(self, job_ids: Collection[str]) -> Mapping[str, tuple[Output, ...]]:
        if not job_ids:
            return {}
        found: dict[str, tuple[Output, ...]] = {}
        rows = self._connection.execute(
            select(*_OUTPUT_COLUMNS)
            .where(OUTPUTS.c.job_id.in_(job_ids))
            .order_by(OUTPUTS.c.job_id, OUTPUTS.c.position)
        )
        for row in rows:
            output = Output(
                node=row.node,
                index=row._mapping["index"],
                kind=OutputKind(row.kind),
                name=row.name,
                media_type=row.media_type,
                bytes=row.bytes,
                digest=row.digest,
                width=row.width,
                height=row.height,
            )
            found[row.job_id] = (*found.get(row.job_id, ()), output)
        return found


def new_job_row(job: NewJob) -> dict[str, Any]:
    """Of a job that waits; its times are the database's."""
    return {
        "id": job.id,
        "account_id": job.lane.account_id,
        "pool": job.lane.pool,
        "priority": job.lane.priority,
        "preset_id": job.lane.preset,
        "preset_version": job.preset_version,
        "preset_digest": job.preset_digest,
        "models": job.lane.models,
        "values": job.values,
        "inputs": _inputs_data(job.inputs),
        "idempotency_key": job.idempotency_key,
        "retry_of": job.retry_of,
        "state": JobState.QUEUED,
        "attempt": 0,
        "crashes": 0,
        "alone": False,
        "price": job.price,
        "price_basis": job.price_basis,
        "expected_s": job.expected_s,
        "batch_id": job.batch_id,
        "batch_index": job.batch_index,
        "graph": job.graph,
        "request_id": job.origin.request_id,
        "trace": job.origin.trace,
    }


def inputs_of(data: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, tuple[InputName, ...]]:
    """Of a job that has all of them."""
    return {
        name: tuple(InputName(item["digest"], item["name"]) for item in items) for name, items in data.items()
    }


def given_inputs_of(data: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, tuple[GivenFile, ...]]:
    return {name: tuple(_given_file(item) for item in items) for name, items in data.items()}


def _given_file(item: Mapping[str, str]) -> GivenFile:
    url = item.get("url")
    return InputName(item["digest"], item["name"]) if url is None else InputUrl(url, item["name"])


def _inputs_data(inputs: Mapping[str, tuple[GivenFile, ...]]) -> JsonValue:
    return {name: [asdict(item) for item in items] for name, items in inputs.items()}


def _attempt(row: RowMapping) -> AttemptRecord:
    return AttemptRecord(**{**row, "end": None if row["end"] is None else AttemptEnd(row["end"])})


def _record(row: RowMapping, outputs: Mapping[str, tuple[Output, ...]]) -> JobRecord:
    return JobRecord(
        **{
            **row,
            "state": JobState(row["state"]),
            "stage": None if row["stage"] is None else StageName(row["stage"]),
            "inputs": given_inputs_of(row["inputs"]),
            "outputs": outputs.get(row["id"], ()),
        }
    )
