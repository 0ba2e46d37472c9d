"""Conditions on the states of jobs."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, String, literal_column

from cloud.tables.job import JOBS
from shared.jobs.state import JobState

__all__ = ["RUNNING", "in_states"]

RUNNING = (JobState.PROCESSING, JobState.SAVING)


def in_states(states: Collection[JobState], state: ColumnElement[str] = JOBS.c.state) -> ColumnElement[bool]:
    """Written out: the indexes are of jobs in some states only, and there is nothing to expand."""
    return state.in_([literal_column(f"'{state}'", String) for state in sorted(states)])
