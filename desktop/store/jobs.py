"""The journal's jobs: each function is SQL for the inside of one `Database.write` or `.read`."""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

from desktop.store.job import DeliveredOutput, Delivery, Job, JobError, NewJob
from desktop.store.job_rows import job_from_row, new_job_columns, outputs_to_json
from shared.engines.base import Ticket
from shared.errors import UsageError
from shared.ids import new_id
from shared.jobs.state import JobState, transition

__all__ = [
    "UnknownJob",
    "adopt_jobs",
    "begin_attempt",
    "begin_saving",
    "cancel_job",
    "cancel_requests",
    "clear_ticket",
    "complete_job",
    "fail_job",
    "find_job",
    "find_job_by_prefix",
    "holders_of_open_jobs",
    "insert_job",
    "jobs_with_keys",
    "latest_jobs",
    "open_jobs",
    "record_delivery",
    "record_outputs",
    "release_failed",
    "release_keys",
    "request_cancel",
    "requeue_job",
    "runs_in_use",
    "unfinished_jobs",
]


# As in the conditions of the indexes jobs_open and jobs_unfinished, which these queries use.
_OPEN = "state IN ('queued', 'processing', 'saving')"
_UNFINISHED = "state IN ('completed', 'failed', 'cancelled') AND (ticket IS NOT NULL OR delivery = 'blocked')"


class UnknownJob(UsageError):
    code = "unknown_job"


def insert_job(
    connection: sqlite3.Connection, new: NewJob, *, holder: str, now: datetime
) -> tuple[str, bool]:
    """The job's id, and whether it is new: a key that is known gives the job of that key."""
    columns = new_job_columns(new) | {
        "id": new_id(),
        "state": JobState.QUEUED,
        "holder": holder,
        "created_at": now.isoformat(),
    }
    names = ", ".join(columns)
    marks = ", ".join(f":{name}" for name in columns)
    inserted = connection.execute(
        f"INSERT INTO jobs ({names}) VALUES ({marks}) ON CONFLICT (key) DO NOTHING RETURNING id",  # noqa: S608
        columns,
    ).fetchone()
    if inserted is not None:
        return inserted["id"], True
    known = connection.execute("SELECT id FROM jobs WHERE key = ?", (new.key,)).fetchone()
    return known["id"], False


def find_job(connection: sqlite3.Connection, job_id: str) -> Job:
    """Raises UnknownJob."""
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise UnknownJob(f"there is no job {job_id}; see `safelight jobs list`", job=job_id)
    return job_from_row(row)


def jobs_with_keys(connection: sqlite3.Connection, keys: Collection[str]) -> tuple[Job, ...]:
    rows = [connection.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone() for key in keys]
    return tuple(job_from_row(row) for row in rows if row is not None)


def find_job_by_prefix(connection: sqlite3.Connection, beginning: str) -> Job:
    """Raises UnknownJob when none or several ids begin so."""
    rows = (
        connection.execute(
            "SELECT * FROM jobs WHERE id >= ? AND id < ? || 'g' LIMIT 2", (beginning, beginning)
        ).fetchall()
        if beginning.isascii()
        else []
    )
    if len(rows) == 1 and beginning:
        return job_from_row(rows[0])
    what = "several jobs begin with" if rows else "there is no job"
    raise UnknownJob(f"{what} {beginning}; see `safelight jobs list --json`", job=beginning)


def latest_jobs(connection: sqlite3.Connection, limit: int, state: JobState | None = None) -> tuple[Job, ...]:
    """Newest first."""
    rows = connection.execute(
        "SELECT * FROM jobs WHERE :state IS NULL OR state = :state ORDER BY seq DESC LIMIT :limit",
        {"state": state, "limit": limit},
    )
    return tuple(job_from_row(row) for row in rows)


def open_jobs(connection: sqlite3.Connection, *, holder: str, after: int, limit: int) -> tuple[Job, ...]:
    """Jobs of this holder that still have to be run, oldest first, beyond sequence number `after`."""
    rows = connection.execute(
        """
        SELECT * FROM jobs WHERE holder = ? AND seq > ? AND state IN ('queued', 'processing', 'saving')
        ORDER BY seq LIMIT ?
        """,
        (holder, after, limit),
    )
    return tuple(job_from_row(row) for row in rows)


def unfinished_jobs(connection: sqlite3.Connection, *, holder: str) -> tuple[Job, ...]:
    """Ended jobs of this holder that are not delivered or not cleared up, oldest first."""
    query = f"SELECT * FROM jobs WHERE holder = ? AND {_UNFINISHED} ORDER BY seq"  # noqa: S608
    rows = connection.execute(query, (holder,))
    return tuple(job_from_row(row) for row in rows)


def holders_of_open_jobs(connection: sqlite3.Connection) -> frozenset[str]:
    query = (
        f"SELECT DISTINCT holder FROM jobs WHERE holder IS NOT NULL AND {_OPEN} "  # noqa: S608
        f"UNION SELECT DISTINCT holder FROM jobs WHERE holder IS NOT NULL AND {_UNFINISHED}"
    )
    rows = connection.execute(query)
    return frozenset(row["holder"] for row in rows)


def runs_in_use(connection: sqlite3.Connection) -> frozenset[str]:
    """The runs at engines that a job, of whichever process, has not done with."""
    query = (
        f"SELECT ticket FROM jobs WHERE ticket IS NOT NULL AND {_OPEN} "  # noqa: S608
        f"UNION ALL SELECT ticket FROM jobs WHERE ticket IS NOT NULL AND {_UNFINISHED}"
    )
    return frozenset(Ticket.from_json(row["ticket"]).run_id for row in connection.execute(query))


def adopt_jobs(
    connection: sqlite3.Connection,
    *,
    holder: str,
    dead: Collection[str],
    batch: str | None = None,
    keys: Collection[str] | None = None,
) -> int:
    """Take over what dead processes left open; only of one batch, or of certain keys, where given."""
    adopted = 0
    query = f"SELECT id, key, batch FROM jobs WHERE holder = ? AND ({_OPEN} OR {_UNFINISHED})"  # noqa: S608
    for former in dead:
        for row in connection.execute(query, (former,)).fetchall():
            if (batch is None or row["batch"] == batch) and (keys is None or row["key"] in keys):
                connection.execute("UPDATE jobs SET holder = ? WHERE id = ?", (holder, row["id"]))
                adopted += 1
    return adopted


def release_keys(connection: sqlite3.Connection, job_ids: Sequence[str]) -> None:
    """Free the keys of ended jobs whose result was reported, so that asking again runs again.

    One that still waits to be delivered keeps its key: asking again asks for that delivery.
    """
    connection.executemany(
        """
        UPDATE jobs SET key = key || '#' || id
        WHERE id = ? AND instr(key, '#') = 0 AND (state IN ('failed', 'cancelled', 'expired')
            OR state = 'completed' AND delivery <> 'blocked')
        """,
        [(job_id,) for job_id in job_ids],
    )


def release_failed(connection: sqlite3.Connection, keys: Collection[str]) -> None:
    """Free those of the keys whose job ended without a result."""
    connection.executemany(
        """
        UPDATE jobs SET key = key || '#' || id
        WHERE key = ? AND state IN ('failed', 'cancelled', 'expired')
        """,
        [(key,) for key in keys],
    )


def begin_attempt(connection: sqlite3.Connection, job_id: str, *, ticket: Ticket, now: datetime) -> None:
    """Store the ticket before its run is started."""
    _check(connection, job_id, JobState.PROCESSING)
    connection.execute(
        """
        UPDATE jobs SET state = 'processing', attempt = ?, engine = ?, ticket = ?, started_at = ? WHERE id = ?
        """,
        (ticket.attempt, ticket.engine, ticket.to_json(), now.isoformat(), job_id),
    )


def begin_saving(connection: sqlite3.Connection, job_id: str, outputs: tuple[DeliveredOutput, ...]) -> None:
    _check(connection, job_id, JobState.SAVING)
    connection.execute(
        "UPDATE jobs SET state = 'saving', outputs = ? WHERE id = ?", (outputs_to_json(outputs), job_id)
    )


def record_outputs(connection: sqlite3.Connection, job_id: str, outputs: tuple[DeliveredOutput, ...]) -> None:
    connection.execute("UPDATE jobs SET outputs = ? WHERE id = ?", (outputs_to_json(outputs), job_id))


def complete_job(
    connection: sqlite3.Connection, job_id: str, *, delivery: Delivery, reason: str | None, now: datetime
) -> None:
    _check(connection, job_id, JobState.COMPLETED)
    connection.execute(
        """
        UPDATE jobs SET state = 'completed', delivery = ?, delivery_reason = ?, finished_at = ? WHERE id = ?
        """,
        (delivery, reason, now.isoformat(), job_id),
    )


def record_delivery(
    connection: sqlite3.Connection, job_id: str, *, delivery: Delivery, reason: str | None
) -> None:
    connection.execute(
        "UPDATE jobs SET delivery = ?, delivery_reason = ? WHERE id = ? AND state = 'completed'",
        (delivery, reason, job_id),
    )


def requeue_job(connection: sqlite3.Connection, job_id: str) -> None:
    _check(connection, job_id, JobState.QUEUED)
    connection.execute(
        "UPDATE jobs SET state = 'queued', ticket = NULL, engine = NULL, outputs = '[]' WHERE id = ?",
        (job_id,),
    )


def fail_job(connection: sqlite3.Connection, job_id: str, *, error: JobError, now: datetime) -> None:
    _check(connection, job_id, JobState.FAILED)
    connection.execute(
        """
        UPDATE jobs SET state = 'failed', error_code = ?, error_message = ?, error_retryable = ?,
            finished_at = ? WHERE id = ?
        """,
        (error.code, error.message, error.retryable, now.isoformat(), job_id),
    )


def cancel_job(connection: sqlite3.Connection, job_id: str, *, now: datetime) -> None:
    _check(connection, job_id, JobState.CANCELLED)
    connection.execute(
        "UPDATE jobs SET state = 'cancelled', finished_at = ? WHERE id = ?", (now.isoformat(), job_id)
    )


def clear_ticket(connection: sqlite3.Connection, job_id: str) -> None:
    """The job has ended and nothing of it is left to clear up."""
    connection.execute("UPDATE jobs SET ticket = NULL WHERE id = ?", (job_id,))


def request_cancel(connection: sqlite3.Connection, job_id: str) -> None:
    """Leave word for the process that holds the job; an ended job stays as it is."""
    connection.execute(
        """
        UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state IN ('queued', 'processing', 'saving')
        """,
        (job_id,),
    )


def cancel_requests(connection: sqlite3.Connection, *, holder: str) -> tuple[str, ...]:
    """Open jobs of this holder whose end was asked for."""
    rows = connection.execute(
        """
        SELECT id FROM jobs WHERE holder = ? AND cancel_requested = 1
            AND state IN ('queued', 'processing', 'saving')
        """,
        (holder,),
    )
    return tuple(row["id"] for row in rows)


def _check(connection: sqlite3.Connection, job_id: str, target: JobState) -> None:
    row = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise UnknownJob(f"there is no job {job_id}", job=job_id)
    transition(JobState(row["state"]), target)
