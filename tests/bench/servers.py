"""GPU servers: what the choice of jobs saves, what it costs, and what a server waits for us."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing, closing
from itertools import pairwise
from pathlib import Path

import httpx
from PIL import Image

from cloud.clients.queue import LocalQueue
from cloud.migrations.upgrade import migrate_postgres
from cloud.repositories.postgres import PostgresDatabase
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from cloud.services.claiming import Claiming
from cloud.worker.choose import choose_lane
from shared.api.jobs import AttemptEnd, JobInput, JobRequest
from shared.files import digest_file
from shared.ids import new_id
from shared.presets.bundle import shipped_presets_folder
from shared.sdk.blocking_client import BlockingCloudClient
from tests.bench.figure import Figure
from tests.support.cloud_processes import CloudProcesses
from tests.support.comfy_process import comfy_process
from tests.support.fleet_simulation import Arrival, simulated
from tests.support.postgres import PostgresServer
from tests.support.query_plans import many_jobs

__all__ = ["measure"]

_SEED = 20
_MIXED = 1500
_PRESETS = 4
_SIZES = (1_000, 100_000, 1_000_000)
_FILLED_WITHIN_S = 600.0
_CLAIMS = 60
_GAP_JOBS = 40
_MODEL = "random_sd15_fp16.safetensors"


def measure() -> list[Figure]:
    return [_mixed(5.0, 8.0), _mixed(15.0, 25.0), *_choosing(), *_gap()]


def _mixed(run_s: float, switch_s: float) -> Figure:
    """All queued at the start, presets as often as Zipf says, in simulated time."""
    draw = random.Random(_SEED)
    weights = [1 / rank for rank in range(1, _PRESETS + 1)]
    arrivals = [
        Arrival("a", f"p{preset}", 0.0) for preset in draw.choices(range(_PRESETS), weights, k=_MIXED)
    ]
    took = {
        by_turns: max(
            job.ended_at
            for job in simulated(arrivals, servers=2, run_s=run_s, switch_s=switch_s, by_turns=by_turns)
        )
        for by_turns in (False, True)
    }
    return Figure(
        name=f"{_MIXED} jobs of {_PRESETS} presets on 2 servers ({run_s:g} s a job, {switch_s:g} s a change)",
        value=took[False] / 60,
        floor=took[True] / 60,
        unit="min",
        floor_name="first in, first out",
        goal_ratio=1 / 1.8,
    )


def _choosing() -> list[Figure]:
    """Medians of reading the lanes, choosing, and claiming, which is undone."""
    with closing(PostgresServer()) as server:
        return asyncio.run(_at_sizes(server.new_database()))


async def _at_sizes(url: str) -> list[Figure]:
    await migrate_postgres(url)
    async with aclosing(PostgresDatabase(url=url, connections=2, longest_s=_FILLED_WITHIN_S)) as database:
        return await _grown(database)


async def _grown(database: PostgresDatabase) -> list[Figure]:
    account, taken_ms, before = new_id(), [], 0
    await database.write(lambda unit: unit.accounts.add(account, "bench", plan="studio"))
    for size in _SIZES:
        await many_jobs(database, account, before + 1, size)
        before = size
        taken_ms.append(await _claims_ms(database))
    return [
        Figure(
            name=f"choose and claim with {size:,} jobs in the table",
            value=value,
            floor=taken_ms[0],
            unit="ms",
            floor_name=f"with {_SIZES[0]:,}",
            goal_ratio=1.5,
        )
        for size, value in zip(_SIZES[1:], taken_ms[1:], strict=True)
    ]


async def _claims_ms(database: PostgresDatabase) -> float:
    claiming = Claiming(database=database, queue=LocalQueue(), lease=AttemptRules().lease)
    taken = []
    for _ in range(_CLAIMS):
        begun = time.perf_counter()
        scene = await claiming.scene(["comfy"])
        lane = choose_lane(scene.backlog)
        assert lane is not None
        claim = await claiming.claim(lane, worker="bench", server="one")
        taken.append((time.perf_counter() - begun) * 1000)
        assert claim is not None
        ref, waits = claim.ref, claim.lane

        def undo(unit: Unit) -> None:
            unit.claims.requeue(ref, AttemptEnd.RELEASED)  # noqa: B023 - run before the next turn
            unit.lanes.enter(waits)  # noqa: B023

        await database.write(undo)
    return statistics.median(taken[5:])


def _gap() -> list[Figure]:
    """Pauses between all the prompts of a stand-in that a whole cloud keeps busy, from the first on."""
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        folder = Path(name)
        floor_ms = _bare_pauses_ms(folder)
        timeline = folder / "timeline"
        with (
            comfy_process(timeline=timeline) as url,
            closing(CloudProcesses(folder, {"SAFELIGHT_COMFYUI_URLS": url})) as processes,
        ):
            processes.run("users", "create", "bench@example.com", "--plan", "studio")
            key = processes.run("keys", "create")
            processes.serve()
            _run_all(processes.url, key, folder)
        return _gap_figures(_pauses_ms(timeline), floor_ms)


def _gap_figures(pauses_ms: Sequence[float], floor_ms: Sequence[float]) -> list[Figure]:
    return [
        Figure(
            name=f"GPU gap through the cloud (a stand-in, {_GAP_JOBS} jobs of 0.4 s), {which}",
            value=of(pauses_ms),
            floor=of(floor_ms),
            unit="ms",
            floor_name="tiny prompts, all queued at the server",
            goal_value=goal_ms,
        )
        for which, of, goal_ms in (("mean", statistics.mean, 2.0), ("99 %", _p99, 10.0))
    ]


def _run_all(url: str, key: str, folder: Path) -> None:
    photo = folder / "photo.png"
    with Image.open(shipped_presets_folder() / "samples" / "portrait.jpg") as picture:
        picture.convert("RGB").resize((256, 256)).save(photo)
    with closing(BlockingCloudClient(server_url=url, api_key=key)) as client:
        digest = digest_file(photo)
        client.upload_artifact(photo, digest)
        jobs = [
            client.submit_job(_request(digest, seed), idempotency_key=new_id()).id
            for seed in range(_GAP_JOBS)
        ]
        until = time.monotonic() + 120
        while any(client.get_job(job).finished_at is None for job in jobs):
            if time.monotonic() > until:
                raise TimeoutError("the cloud did not do its jobs")
            time.sleep(0.5)


def _request(digest: str, seed: int) -> JobRequest:
    return JobRequest(
        preset="portrait-pro",
        inputs={"photo": [JobInput(digest=digest, name="photo.png")]},
        values={"model": _MODEL, "steps": 20, "seed": seed},
    )


def _bare_pauses_ms(folder: Path) -> list[float]:
    timeline = folder / "bare"
    blank = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    with comfy_process(timeline=timeline) as url, httpx.Client(base_url=url) as http:
        for colour in range(_GAP_JOBS):
            graph = {
                "1": {**blank, "inputs": {**blank["inputs"], "color": colour}},  # type: ignore[dict-item]
                "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "b"}},
            }
            http.post("/prompt", json={"prompt": graph, "prompt_id": new_id()}).raise_for_status()
        while _lines(timeline) < _GAP_JOBS:
            time.sleep(0.05)
    return _pauses_ms(timeline)


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _pauses_ms(timeline: Path) -> list[float]:
    spans = sorted(_span(line) for line in timeline.read_text().splitlines())
    return [(begun - ended) * 1000 for (_, ended), (begun, _) in pairwise(spans)]


def _p99(pauses_ms: Sequence[float]) -> float:
    return statistics.quantiles(pauses_ms, n=100, method="inclusive")[98]


def _span(line: str) -> tuple[float, float]:
    begun, ended = line.split()
    return float(begun), float(ended)
