"""Redis dies and begins anew with nothing, again and again while jobs come: none is lost or waits long."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.jobs.state import JobState
from tests.journeys.cluster import Cluster, open_cluster
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

DEATHS = 40 if os.environ.get("SWEEP") else 10
EXTRA_S = 5.0
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def cluster(tmp_path: Path, postgres_server: PostgresServer, redis: RedisServer) -> Iterator[Cluster]:
    with open_cluster(tmp_path, postgres_server, redis) as cluster:
        for _ in range(2):
            cluster.processes.worker()
        cluster.end_of(cluster.submit())
        yield cluster


def _claimed(cluster: Cluster, job_id: str) -> None:
    until = time.monotonic() + 120
    while not cluster.rows("SELECT 1 FROM attempts WHERE job_id = $1", job_id):
        assert time.monotonic() < until, cluster.processes.logs()[-6000:]
        time.sleep(0.05)


def _picked_up_s(cluster: Cluster, jobs: list[str]) -> list[float]:
    """From the submission of each to its first claim."""
    rows = cluster.rows(
        "SELECT extract(epoch FROM a.claimed_at - j.created_at)::float AS took FROM jobs j"
        " JOIN attempts a ON a.job_id = j.id AND a.attempt = 1 WHERE j.id = ANY($1::text[])",
        jobs,
    )
    return sorted(row["took"] for row in rows)


def test_every_job_is_picked_up_soon(cluster: Cluster, redis: RedisServer) -> None:
    calm = [cluster.submit() for _ in range(6)]
    for job_id in calm:
        _claimed(cluster, job_id)
    jobs = []
    for _ in range(DEATHS):
        redis.kill()
        jobs.append(cluster.submit())  # its ring is heard by nobody
        redis.start()
        jobs.append(cluster.submit())
        _claimed(cluster, jobs[-1])
    assert {cluster.end_of(job_id, within_s=120).state for job_id in jobs} == {JobState.COMPLETED}
    took = _picked_up_s(cluster, jobs)
    assert len(took) == len(jobs)
    assert took[int(0.99 * (len(took) - 1))] <= _picked_up_s(cluster, calm)[-1] + EXTRA_S, took[-5:]
