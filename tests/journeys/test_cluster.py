"""Photographs through the cloud as it is deployed: an API process and workers, any of which may die."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from shared.ids import new_id
from shared.jobs.events import Completed
from shared.jobs.state import JobState
from shared.sdk.operations import Download
from tests.journeys.cluster import PHOTO, Cluster, open_cluster
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, redis: RedisServer
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with open_cluster(folder, postgres_server, redis, REAP_EVERY_S="1") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def large_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "large.jpg"
    with Image.open(PHOTO) as photo:
        photo.convert("RGB").resize((2400, 1600)).save(path, quality=85)
    return path


def test_a_photograph_goes_through_the_api_and_a_worker_of_its_own(cluster: Cluster) -> None:
    cluster.processes.worker()
    job_id = cluster.submit()
    *_, end = cluster.client.events(job_id)
    job = cluster.client.get_job(job_id)
    assert isinstance(end, Completed)
    [output] = job.outputs
    sink = io.BytesIO()
    cluster.client.download(Download(output.download, output.digest, output.name), sink)
    with Image.open(sink) as picture, Image.open(PHOTO) as photo:
        picture.load()
        assert picture.size == photo.size
    assert cluster.events(job_id) == ["queued", "started", "completed"]


def test_the_same_submission_is_the_same_job(cluster: Cluster) -> None:
    key = new_id()
    first = cluster.submit(key=key)
    assert cluster.submit(key=key) == first
    assert cluster.end_of(first).state is JobState.COMPLETED


def test_a_worker_killed_while_it_runs_loses_nothing(cluster: Cluster, large_photo: Path) -> None:
    job_id = cluster.submit(large_photo)
    cluster.until(job_id, lambda job: job.started_at is not None)
    victim = cluster.processes.workers()[-1]
    victim.kill()
    victim.wait()
    cluster.rows("UPDATE jobs SET lease_until = lease_until - interval '1 hour'")
    cluster.processes.worker()
    job = cluster.end_of(job_id)
    assert job.state is JobState.COMPLETED
    assert job.attempt >= 2
    events = cluster.events(job_id)
    assert events.count("completed") == 1
    assert events[-1] == "completed"
    assert "requeued" in events


def test_an_emptied_redis_loses_nothing(cluster: Cluster, redis: RedisServer) -> None:
    jobs = [cluster.submit() for _ in range(5)]
    redis.flush()
    jobs += [cluster.submit() for _ in range(5)]
    redis.flush()
    assert {cluster.end_of(job_id).state for job_id in jobs} == {JobState.COMPLETED}
    [row] = cluster.rows(
        "SELECT min(extract(epoch FROM a.claimed_at - j.created_at))::float AS took FROM jobs j"
        " JOIN attempts a ON a.job_id = j.id AND a.attempt = 1 WHERE j.id = ANY($1::text[])",
        jobs[5:],
    )
    assert row["took"] < 10


def test_without_redis_jobs_are_found_by_looking(cluster: Cluster, redis: RedisServer) -> None:
    """As when an API process dies between its commit and the ring."""
    redis.kill()
    try:
        job_id = cluster.submit()
        assert cluster.end_of(job_id).state is JobState.COMPLETED
    finally:
        redis.start()
    assert cluster.end_of(cluster.submit()).state is JobState.COMPLETED


def test_waiting_and_running_jobs_are_cancelled(cluster: Cluster, large_photo: Path) -> None:
    running, *waiting = [cluster.submit(large_photo) for _ in range(5)]
    cluster.until(running, lambda job: job.started_at is not None)
    for job_id in (running, *waiting):
        cluster.client.cancel_job(job_id)
    ended = [cluster.end_of(job_id) for job_id in (running, *waiting)]
    assert {job.state for job in ended} == {JobState.CANCELLED}
    done = cluster.end_of(cluster.submit())
    assert cluster.client.cancel_job(done.id).state is JobState.COMPLETED


def test_a_worker_told_to_stop_leaves_no_job_behind(cluster: Cluster) -> None:
    jobs = [cluster.submit() for _ in range(3)]
    stopped = cluster.processes.workers()
    for worker in stopped:
        worker.terminate()
    assert [worker.wait(60) for worker in stopped] == [0] * len(stopped)
    cluster.processes.worker()
    ended = [cluster.end_of(job_id) for job_id in jobs]
    assert {job.state for job in ended} == {JobState.COMPLETED}
    assert [cluster.events(job_id).count("completed") for job_id in jobs] == [1, 1, 1]
