"""Hot folders whose pictures are run by a cloud on one box."""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import httpx
from PIL import Image

from desktop.secrets import API_KEY_VARIABLE
from desktop.settings import Settings
from desktop.store.job import EngineChoice
from shared.api.artifacts import Artifact, ArtifactState
from shared.api.events import parse_event
from shared.files import digest_bytes
from shared.ids import new_id
from shared.jobs.events import Completed, JobEvent, Started
from shared.presets.manifest import Manifest
from tests.bench.figure import Figure
from tests.bench.starts import WARM_UP, hot_folder, photographs, preset, save, watched_starts
from tests.support.cloud_processes import CloudProcesses

__all__ = ["measure"]

_ROUNDS = 20


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        folder = Path(name)
        with closing(CloudProcesses(folder, {})) as processes:
            key = processes.run("keys", "create")
            processes.serve()
            return [asyncio.run(_close_to_started(folder, processes.url, key))]


async def _close_to_started(folder: Path, url: str, key: str) -> Figure:
    pictures = photographs(2 * _ROUNDS)  # the cloud would know a picture that it has met
    floor = await _bare_starts(folder, url, key, pictures[:_ROUNDS])
    os.environ[API_KEY_VARIABLE] = key
    try:
        watched = hot_folder(folder / "watched", EngineChoice.CLOUD)
        settings = Settings(data_dir=folder / "desktop", cloud_url=url)
        ours = await watched_starts(watched, settings, pictures[_ROUNDS:])
    finally:
        del os.environ[API_KEY_VARIABLE]
    return Figure(
        name="close of a 512×512 PNG to started, cloud on one box",
        value=statistics.median(ours[WARM_UP:]),
        floor=statistics.median(floor[WARM_UP:]),
        unit="ms",
        floor_name="the same requests from a bare script",
        goal_value=15.0,
    )


async def _bare_starts(folder: Path, url: str, key: str, pictures: list[Image.Image]) -> list[float]:
    """Upload and submission over one connection, the account's stream open all the while."""
    headers = {"Authorization": f"Bearer {key}"}
    manifest = preset().manifest
    times: list[float] = []
    async with (
        httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=30) as client,
        client.stream("GET", "/events") as stream,
    ):
        events = _events(stream)
        for number, picture in enumerate(pictures):
            path = folder / f"{number}.png"
            closed = await asyncio.to_thread(save, picture, path)
            await _submit(client, manifest, path)
            while not isinstance(await anext(events), Started):
                pass
            times.append((time.perf_counter() - closed) * 1000)
            while not isinstance(await anext(events), Completed):
                pass
    return times


async def _submit(client: httpx.AsyncClient, manifest: Manifest, path: Path) -> None:
    data = await asyncio.to_thread(path.read_bytes)
    digest = digest_bytes(data)
    sent = await client.put(
        f"/artifacts/{digest}", content=data, headers={"Content-Type": "application/octet-stream"}
    )
    if Artifact.model_validate_json(sent.raise_for_status().content).state is not ArtifactState.READY:
        raise RuntimeError("the cloud refused the picture: nothing would be measured")
    primary = manifest.primary_input or manifest.inputs[0]
    request = {"preset": manifest.id, "inputs": {primary.id: [{"digest": digest, "name": path.name}]}}
    accepted = await client.post("/jobs", json=request, headers={"Idempotency-Key": new_id()})
    accepted.raise_for_status()


async def _events(stream: httpx.Response) -> AsyncGenerator[JobEvent, None]:
    async for line in stream.aiter_lines():
        if line.startswith("data:"):
            yield parse_event(json.loads(line.removeprefix("data:")))
