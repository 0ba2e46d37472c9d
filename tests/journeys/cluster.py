"""The cloud as it is deployed, with PostgreSQL and Redis, and what a test asks of it."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from shared.api.jobs import Job, JobInput, JobRequest
from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.state import JobState
from shared.presets.bundle import shipped_presets_folder
from shared.sdk.blocking_client import BlockingCloudClient
from tests.support.cloud_processes import CloudProcesses
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

__all__ = ["PHOTO", "Cluster", "open_cluster"]

PHOTO = shipped_presets_folder() / "samples" / "cat.jpg"
_WITHIN_S = 60.0


class Cluster:
    def __init__(self, processes: CloudProcesses, postgres: PostgresServer, database: str) -> None:
        self.processes = processes
        self._postgres = postgres
        self._database = database
        self._key = processes.run("keys", "create")
        self._clients = ExitStack()
        self.serve()

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that is made without the SDK."""
        return {"Authorization": f"Bearer {self._key}"}

    def serve(self, *, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Without a worker: those are begun by the tests, and killed."""
        self.api = self.processes.serve("--no-worker", failpoint=failpoint)
        client = BlockingCloudClient(server_url=self.processes.url, api_key=self._key)
        self.client = self._clients.enter_context(closing(client))
        return self.api

    def close(self) -> None:
        self._clients.close()

    def submit(self, photo: Path = PHOTO, *, key: str | None = None) -> str:
        self.client.upload_artifact(photo, digest_file(photo))
        return self.client.submit_job(_request(photo), idempotency_key=key or new_id()).id

    def post(self, *, key: str) -> httpx.Response:
        """A submission by a client that tries once; its photograph was uploaded before."""
        headers = {**self.headers, "Idempotency-Key": key}
        body = _request(PHOTO).model_dump(mode="json")
        return httpx.post(f"{self.processes.url}/api/v1/jobs", headers=headers, json=body)

    def until(self, job_id: str, reached: Callable[[Job], bool], *, within_s: float = _WITHIN_S) -> Job:
        until = time.monotonic() + within_s
        while not reached(job := self.client.get_job(job_id)):
            assert time.monotonic() < until, f"{job.state}\n{self.processes.logs()[-6000:]}"
            time.sleep(0.05)
        return job

    def end_of(self, job_id: str, *, within_s: float = _WITHIN_S) -> Job:
        ends = {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
        return self.until(job_id, lambda job: job.state in ends, within_s=within_s)

    def events(self, job_id: str) -> list[str]:
        rows = self.rows("SELECT kind FROM events WHERE job_id = $1 ORDER BY id", job_id)
        return [row["kind"] for row in rows]

    def rows(self, query: str, *values: object) -> list[Any]:
        return self._postgres.execute(query, *values, database=self._database)


def _request(photo: Path) -> JobRequest:
    name = JobInput(digest=digest_file(photo), name=photo.name)
    return JobRequest(preset="noir", inputs={"photo": [name]})


@contextmanager
def open_cluster(
    folder: Path, postgres: PostgresServer, redis: RedisServer, **settings: str
) -> Iterator[Cluster]:
    """An API process; `settings` are variables without their prefix."""
    url = postgres.new_database()
    environment = {
        "SAFELIGHT_DATABASE_URL": url,
        "SAFELIGHT_REDIS_URL": redis.url,
        "SAFELIGHT_SECRET_KEY": "of the tests, and long enough to be one",
        **{f"SAFELIGHT_{name}": value for name, value in settings.items()},
    }
    with closing(CloudProcesses(folder, environment)) as processes:
        processes.run("migrate")
        with closing(Cluster(processes, postgres, url.rpartition("/")[2])) as cluster:
            yield cluster
