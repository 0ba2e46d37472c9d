"""Two GPU servers and two workers of a cluster, one of each killed in the middle: each job is done once."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from PIL import Image

from shared.api.jobs import JobInput, JobRequest
from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.state import JobState
from tests.journeys.cluster import PHOTO, Cluster, open_cluster
from tests.support.comfy_process import ComfyProcess
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

MODEL = "random_sd15_fp16.safetensors"
QUICK = {
    "LEASE_S": "4",
    "REAP_EVERY_S": "0.5",
    "POLL_EVERY_S": "0.5",
    "LOOK_EVERY_S": "0.5",
    "BREAKER_FIRST_S": "1",
}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While it exists, what the servers run does not end."""
    return tmp_path_factory.mktemp("servers") / "held"


@pytest.fixture(scope="module")
def servers(held: Path) -> Iterator[tuple[ComfyProcess, ComfyProcess]]:
    with closing(ComfyProcess(held_while=held)) as one, closing(ComfyProcess(held_while=held)) as two:
        yield one, two


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    servers: tuple[ComfyProcess, ComfyProcess],
) -> Iterator[Cluster]:
    with ExitStack() as stack:
        redis = stack.enter_context(closing(RedisServer()))
        folder = tmp_path_factory.mktemp("two-servers")
        cluster = stack.enter_context(open_cluster(folder, postgres_server, redis, **QUICK))
        for name, server in zip(("one", "two"), servers, strict=True):
            cluster.processes.run("servers", "add", server.url, "--name", name)
        yield cluster


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    with Image.open(PHOTO) as picture:
        picture.convert("RGB").resize((256, 256)).save(path)
    return path


def _submit(cluster: Cluster, photo: Path, *, seed: int) -> str:
    digest = digest_file(photo)
    cluster.client.upload_artifact(photo, digest)
    request = JobRequest(
        preset="portrait-pro",
        inputs={"photo": [JobInput(digest=digest, name="photo.png")]},
        values={"model": MODEL, "steps": 3, "seed": seed},
    )
    return cluster.client.submit_job(request, idempotency_key=new_id()).id


def _until(cluster: Cluster, reached: Callable[[], bool], *, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < until, cluster.processes.logs()[-6000:]
        time.sleep(0.05)


def _running_on(cluster: Cluster) -> set[str]:
    rows = cluster.rows("SELECT server FROM jobs WHERE state = 'processing' AND started_at IS NOT NULL")
    return {row["server"] for row in rows}


def _check(cluster: Cluster, jobs: list[str]) -> None:
    """Every job is done, once, and nothing stays behind."""
    for job_id in jobs:
        job = cluster.end_of(job_id)
        assert job.state is JobState.COMPLETED, job.failure
        assert len(job.outputs) == 1
        events = cluster.events(job_id)
        assert (events.count("completed"), events[-1]) == (1, "completed")
    assert cluster.rows("SELECT * FROM lanes") == []


def test_a_server_and_a_worker_are_killed_and_every_job_is_done_once(
    cluster: Cluster, servers: tuple[ComfyProcess, ComfyProcess], held: Path, photo: Path
) -> None:
    held.touch()
    workers = [cluster.processes.worker() for _ in range(2)]
    _until(cluster, lambda: _leaders(cluster) == 2)
    jobs = [_submit(cluster, photo, seed=seed) for seed in range(5)]
    _until(cluster, lambda: _running_on(cluster) == {"one", "two"})
    servers[0].kill()
    _until(cluster, lambda: _breaker(cluster, "one") == "open")
    workers[0].send_signal(signal.SIGKILL)
    held.unlink()
    _check(cluster, jobs)

    servers[0].start()
    _until(cluster, lambda: _breaker(cluster, "one") in {"half_open", "closed"})
    last: list[str] = []

    def one_works_again() -> bool:
        last.append(_submit(cluster, photo, seed=100 + len(last)))
        done = cluster.rows(
            "SELECT job_id FROM attempts WHERE server = 'one' AND \"end\" = 'completed' AND job_id = ANY($1)",
            last,
        )
        return bool(done)

    _until(cluster, one_works_again)
    _check(cluster, last)
    _until(cluster, lambda: _breaker(cluster, "one") == "closed")


def _leaders(cluster: Cluster) -> int:
    return len(cluster.rows("SELECT DISTINCT led_by FROM servers WHERE led_by IS NOT NULL"))


def _breaker(cluster: Cluster, name: str) -> str:
    [row] = cluster.rows("SELECT breaker FROM servers WHERE name = $1", name)
    return str(row["breaker"])


@pytest.mark.parametrize("line", ["server.led", "attempt.started"])
def test_a_leader_is_killed_where_it_matters_and_another_ends_its_jobs(
    cluster: Cluster, photo: Path, line: str
) -> None:
    """The worker that lives on is paused meanwhile."""
    living = cluster.processes.workers()
    for worker in living:
        worker.send_signal(signal.SIGSTOP)
    doomed = cluster.processes.worker(failpoint=line)
    jobs = [_submit(cluster, photo, seed=1000 * len(line) + seed) for seed in range(3)]
    doomed.wait(60)
    for worker in living:
        worker.send_signal(signal.SIGCONT)
    _check(cluster, jobs)
