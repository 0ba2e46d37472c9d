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
from shared.api.events import parse_event
from shared.ids import new_id
from shared.jobs.events import JobEvent, Started
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
        floor_name="the same request from a bare script",
        goal_value=15.0,
    )


async def _bare_starts(folder: Path, url: str, key: str, pictures: list[Image.Image]) -> list[float]:
    """One request for each, over one connection: picture, job and, in the answer, the job's events."""
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    manifest = preset().manifest
    primary = manifest.primary_input or manifest.inputs[0]
    job = json.dumps({"preset": manifest.id})
    times: list[float] = []
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=30) as client:
        for number, picture in enumerate(pictures):
            path = folder / f"{number}.png"
            closed = await asyncio.to_thread(save, picture, path)
            data = await asyncio.to_thread(path.read_bytes)
            async with client.stream(
                "POST",
                "/jobs/with-files",
                files=[(primary.id, (path.name, data)), ("job", (None, job))],
                headers={"Idempotency-Key": new_id()},
            ) as answer:
                times += [
                    (time.perf_counter() - closed) * 1000
                    async for event in _events(answer.raise_for_status())
                    if isinstance(event, Started)
                ]
    return times


async def _events(answer: httpx.Response) -> AsyncGenerator[JobEvent, None]:
    """After the first, which says that the job was accepted."""
    is_first = True
    async for line in answer.aiter_lines():
        if line.startswith("data:"):
            if not is_first:
                yield parse_event(json.loads(line.removeprefix("data:")))
            is_first = False
