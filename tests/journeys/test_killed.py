"""The API or a worker is killed at a line that matters: each job is done once, and nothing stays stuck."""

import contextlib
import io
import signal
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from shared.ids import new_id
from shared.jobs.state import JobState
from shared.sdk.operations import Download
from tests.journeys.cluster import PHOTO, Cluster, open_cluster
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

IN_THE_WORKER = [
    "attempt.claimed",
    "attempt.ticket_stored",
    "attempt.started",
    "attempt.run_ended",
    "attempt.saved",
    "attempt.completed",
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Cluster]:
    """With a worker that lives on, paused while another is to die."""
    redis = RedisServer()
    folder = tmp_path_factory.mktemp("killed")
    quick = {"REAP_EVERY_S": "1", "POLL_EVERY_S": "0.5"}
    try:
        with open_cluster(folder, postgres_server, redis, **quick) as cluster:
            cluster.processes.worker()
            cluster.end_of(cluster.submit())
            yield cluster
    finally:
        redis.close()


def _check(cluster: Cluster, job_id: str) -> None:
    """Done once, by the attempt that it says, with a picture that can be shown; every event published."""
    job = cluster.end_of(job_id)
    assert job.state is JobState.COMPLETED
    events = cluster.events(job_id)
    assert (events.count("completed"), events[-1]) == (1, "completed")
    [output] = job.outputs
    sink = io.BytesIO()
    cluster.client.download(Download(output.download, output.digest, output.name), sink)
    with Image.open(sink) as picture, Image.open(PHOTO) as photo:
        picture.load()
        assert picture.size == photo.size
    [row] = cluster.rows("SELECT attempt FROM outputs WHERE job_id = $1", job_id)
    assert row["attempt"] == job.attempt
    ends = cluster.rows('SELECT "end" FROM attempts WHERE job_id = $1 ORDER BY attempt', job_id)
    assert [row["end"] for row in ends] == ["lost"] * (job.attempt - 1) + ["completed"]
    assert cluster.rows("SELECT * FROM lanes") == []
    assert cluster.rows("SELECT id FROM jobs WHERE state IN ('queued', 'processing', 'saving')") == []


@pytest.mark.parametrize("failpoint", IN_THE_WORKER)
def test_a_worker_killed_there(cluster: Cluster, failpoint: str) -> None:
    [sound] = cluster.processes.workers()
    sound.send_signal(signal.SIGSTOP)
    try:
        victim = cluster.processes.worker(failpoint=failpoint)
        job_id = cluster.submit()
        assert victim.wait(60) == -signal.SIGKILL
        cluster.rows("UPDATE jobs SET lease_until = lease_until - interval '1 hour'")
    finally:
        sound.send_signal(signal.SIGCONT)
    _check(cluster, job_id)


@pytest.mark.parametrize(("failpoint", "kept"), [("submit.written", 0), ("submit.committed", 1)])
def test_the_api_killed_before_and_after_the_commit(cluster: Cluster, failpoint: str, kept: int) -> None:
    cluster.api.terminate()
    dying = cluster.serve(failpoint=failpoint)
    key = new_id()
    with pytest.raises(httpx.TransportError):
        cluster.post(key=key)
    assert dying.wait(60) == -signal.SIGKILL
    assert len(cluster.rows("SELECT id FROM jobs WHERE idempotency_key = $1", key)) == kept
    [counted] = cluster.rows(
        "SELECT count(*) AS jobs, (SELECT sum(jobs) FROM credit_balances) AS paid FROM jobs"
    )
    assert counted["jobs"] == counted["paid"]
    cluster.serve()
    job_id = cluster.submit(key=key)
    rows = cluster.rows("SELECT id FROM jobs WHERE idempotency_key = $1", key)
    assert [row["id"] for row in rows] == [job_id]
    _check(cluster, job_id)


def test_the_api_killed_between_telling_an_event_and_noting_it(cluster: Cluster) -> None:
    [sound] = cluster.processes.workers()
    cluster.api.terminate()
    cluster.api.wait(60)
    dying = cluster.serve(failpoint="publisher.told")
    sound.send_signal(signal.SIGSTOP)
    key = new_id()
    try:
        with contextlib.suppress(httpx.TransportError):
            cluster.post(key=key)
        assert dying.wait(60) == -signal.SIGKILL
    finally:
        sound.send_signal(signal.SIGCONT)
    cluster.serve()
    _check(cluster, cluster.submit(key=key))
    numbers = [row["number"] for row in cluster.rows("SELECT number FROM events ORDER BY number")]
    assert numbers == list(range(1, len(numbers) + 1))
