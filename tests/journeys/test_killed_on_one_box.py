"""One box is killed at every line between a job's URL and the webhook that tells of its end: the job is
done once, and its end is told under one id."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.sdk.webhooks import verify
from tests.cloud.api import PRESET, picture
from tests.support.cloud_processes import CloudProcesses
from tests.support.https_server import Site, answer

FAILPOINTS = (
    "fetch.taken",
    "fetch.received",
    "fetch.announced",
    "fetch.stored",
    "fetch.noted",
    "ending.told",
    "webhook.taken",
    "webhook.sent",
)
_END_S = 60.0
_ENDS = {"completed", "failed", "cancelled", "expired"}


@pytest.fixture
def cloud(tmp_path: Path) -> Any:
    processes = CloudProcesses(tmp_path, {"SAFELIGHT_ALLOWED_FETCH_HOSTS": "localhost"})
    yield processes
    processes.close()


async def _submitted(cloud: CloudProcesses, port: int) -> tuple[str, str, str]:
    """A key, the id of a job, and the secret of a webhook."""
    key = (await asyncio.to_thread(cloud.run, "keys", "create")).split()[-1]
    api = await asyncio.to_thread(cloud.serve, "--no-worker")
    async with _client(cloud, key) as client:
        hook = await client.post("/webhooks", json={"url": f"http://localhost:{port}/told"})
        assert hook.status_code == 201, hook.text
        photo = {"url": f"http://localhost:{port}/a.png", "name": "a.png"}
        job = await client.post("/jobs", json={"preset": PRESET, "inputs": {"photo": [photo]}})
        assert job.status_code == 202, job.text
    api.terminate()
    await asyncio.to_thread(api.wait, 60)
    return key, job.json()["id"], hook.json()["secret"]


def _client(cloud: CloudProcesses, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=f"{cloud.url}/api/v1", headers=headers, timeout=30)


@pytest.mark.timeout(300)
async def test_killed_at_every_line(cloud: CloudProcesses) -> None:
    site = Site(answers=[answer(200, picture())])
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    async with server:
        key, job_id, secret = await _submitted(cloud, server.sockets[0].getsockname()[1])
        for failpoint in FAILPOINTS:
            await asyncio.to_thread(cloud.killed_at, failpoint, "serve", "--port", "0")

        await asyncio.to_thread(cloud.serve)
        async with _client(cloud, key) as client:
            job = await _ended(client, job_id)

        assert (job["state"], len(job["outputs"])) == ("completed", 1)
        told = [verify(asked.headers, asked.body, secret) for asked in site.asked if asked.method == "POST"]
        assert {message.type for message in told} == {"job.completed"}
        assert len({message.id for message in told}) == 1


async def _ended(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    until = time.monotonic() + _END_S
    while (job := (await client.get(f"/jobs/{job_id}")).json())["state"] not in _ENDS:
        assert time.monotonic() < until, job
    return dict(job)
