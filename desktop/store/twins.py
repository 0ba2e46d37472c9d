"""Jobs that make the same of the same content under another name. SQL for the inside of one transaction."""

import sqlite3
from enum import StrEnum

from desktop.store.job import DeliveredOutput, Job
from desktop.store.job_rows import job_from_row, outputs_to_json
from shared.jobs.state import JobState, transition

__all__ = ["Twins", "begin_copy", "delivered_twins", "twins_in_folder"]


class Twins(StrEnum):
    NONE = "none"
    OPEN = "open"  # the first of them is still on its way
    ENDED = "ended"


def twins_in_folder(connection: sqlite3.Connection, folder: str, digest: str) -> Twins:
    """How far a hot folder is with files of this content; what was called off does not count."""
    rows = connection.execute(
        """
        SELECT DISTINCT state IN ('queued', 'processing', 'saving') AS is_open FROM jobs
        WHERE source_digest = ? AND batch = ? AND state != 'cancelled' AND cancel_requested = 0
        """,
        (digest, folder),
    ).fetchall()
    if not rows:
        return Twins.NONE
    return Twins.OPEN if all(row["is_open"] for row in rows) else Twins.ENDED


def delivered_twins(connection: sqlite3.Connection, job: Job) -> tuple[Job, ...]:
    """Jobs of the same hot folder and round whose delivered files are what this job would make."""
    rows = connection.execute(
        """
        SELECT theirs.* FROM jobs AS mine
        JOIN jobs AS theirs ON theirs.source_digest = mine.source_digest AND theirs.batch = mine.batch
            AND theirs.preset_digest = mine.preset_digest AND theirs.preset_values = mine.preset_values
            AND theirs.output_policy = mine.output_policy AND theirs.lineage = mine.lineage
        JOIN ledger AS my_version ON my_version.key = mine.ledger_key
        JOIN ledger AS their_version ON their_version.key = theirs.ledger_key
            AND their_version.generation = my_version.generation
        WHERE mine.id = ? AND theirs.id != mine.id AND mine.retry_of IS NULL
            AND theirs.state = 'completed' AND theirs.delivery = 'delivered'
        ORDER BY theirs.seq LIMIT 5
        """,
        (job.id,),
    )
    return tuple(job_from_row(row) for row in rows)


def begin_copy(connection: sqlite3.Connection, job_id: str, outputs: tuple[DeliveredOutput, ...]) -> None:
    """The outputs are known without a run; they are still to be placed under the job's own name."""
    row = connection.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    transition(transition(JobState(row["state"]), JobState.PROCESSING), JobState.SAVING)
    connection.execute(
        "UPDATE jobs SET state = 'saving', ticket = NULL, outputs = ? WHERE id = ?",
        (outputs_to_json(outputs), job_id),
    )
