"""What Safelight adds to a ComfyUI server, beside a bare script on the same server.

The server is COMFYUI_URL, or the stand-in of the tests in a process of its own: the overhead is
ours either way. Gaps between prompts are the server's own, so only a real one tells them.
"""

import asyncio
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import websockets
from PIL import Image

from shared.comfy.client import ComfyClient
from shared.comfy.graph import parse_graph
from shared.engines.base import GraphInput, GraphWork, InputFile, Ticket
from shared.engines.comfy.engine import ComfyEngine
from shared.errors import JsonValue
from shared.files import digest_bytes
from shared.ids import new_id
from shared.jobs.events import Completed
from tests.bench.figure import Figure
from tests.support.comfy_process import comfy_process

__all__ = ["measure"]

_ROUNDS = 15
_PIPELINED = 24
_DEPTH = 2
_serial = count()


def measure() -> list[Figure]:
    url = os.environ.get("COMFYUI_URL")
    if url:
        return asyncio.run(_measure(url.rstrip("/"), is_real=True))
    with comfy_process() as stand_in:
        return asyncio.run(_measure(stand_in, is_real=False))


@dataclass(frozen=True, slots=True)
class _Pair:
    bare_ms: float
    ours_ms: float


class _Bare:
    """The least that does the job: upload, prompt, wait on the socket, view."""

    def __init__(
        self, url: str, client_id: str, http: httpx.AsyncClient, socket: websockets.ClientConnection
    ) -> None:
        self._url, self._client_id, self._http, self._socket = url, client_id, http, socket

    async def run(self, graph: dict[str, JsonValue], picture: bytes) -> bytes:
        name = f"{digest_bytes(picture)}.png"
        await self._http.post(f"{self._url}/upload/image", files={"image": (name, picture, "image/png")})
        prompt_id = new_id()
        body = {"prompt": _named(graph, name), "client_id": self._client_id, "prompt_id": prompt_id}
        (await self._http.post(f"{self._url}/prompt", json=body)).raise_for_status()
        saved = await self._saved(prompt_id)
        answer = await self._http.get(f"{self._url}/view", params=saved)
        return answer.raise_for_status().content

    async def _saved(self, prompt_id: str) -> dict[str, str]:
        saved: dict[str, str] = {}
        async for message in self._socket:
            if isinstance(message, bytes):
                continue
            event = json.loads(message)
            data = event["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            if event["type"] == "executed":
                saved = data["output"]["images"][0]
            if event["type"] == "executing" and data["node"] is None:
                return saved
        raise ConnectionError("the socket closed before the run was over")


async def _measure(url: str, *, is_real: bool) -> list[Figure]:
    server = "the ComfyUI at COMFYUI_URL" if is_real else "a stand-in"
    with tempfile.TemporaryDirectory() as folder:
        engine = ComfyEngine(client=ComfyClient(url), spool_folder=Path(folder) / "spool")
        try:
            async with _bare_script(url) as bare:
                figures = [await _noop(engine, bare, server), await _long(engine, bare, server)]
                if is_real:
                    figures.append(await _pipelined(engine, bare, url))
        finally:
            await engine.aclose()
    return figures


async def _noop(engine: ComfyEngine, bare: _Bare, server: str) -> Figure:
    pair = await _compare(engine, bare, blurs=0)
    return Figure(
        name=f"ComfyUI: added to a no-op ({server})",
        value=pair.ours_ms - pair.bare_ms,
        floor=pair.bare_ms,
        unit="ms",
        floor_name="the whole bare script",
        goal_value=8,
    )


async def _long(engine: ComfyEngine, bare: _Bare, server: str) -> Figure:
    pair = await _compare(engine, bare, blurs=await _blurs_for(bare, seconds=0.4))
    return Figure(
        name=f"ComfyUI: a job of {pair.bare_ms:.0f} ms ({server})",
        value=pair.ours_ms,
        floor=pair.bare_ms,
        unit="ms",
        floor_name="bare script",
        goal_ratio=1.15,
    )


async def _pipelined(engine: ComfyEngine, bare: _Bare, url: str) -> Figure:
    pair = await _pipelined_gap(engine, bare, url)
    return Figure(
        name="ComfyUI: gap between pipelined prompts",
        value=pair.ours_ms,
        floor=pair.bare_ms,
        unit="ms",
        floor_name="all queued at once",
        goal_value=2,
    )


@contextlib.asynccontextmanager
async def _bare_script(url: str) -> AsyncIterator[_Bare]:
    client_id = new_id()
    address = f"{url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
    async with (
        httpx.AsyncClient(timeout=60, trust_env=False) as http,
        websockets.connect(address, max_size=None) as socket,
    ):
        yield _Bare(url, client_id, http, socket)


async def _compare(engine: ComfyEngine, bare: _Bare, *, blurs: int) -> _Pair:
    """Medians of alternating runs, each on a picture that the server has not seen."""
    graph = _graph(blurs)
    bare_s, ours_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            await bare.run(graph, _picture())
            bare_s.append(time.perf_counter() - begun)
            file = _file(Path(folder))
            begun = time.perf_counter()
            await _run(engine, await engine.prepare(_work(graph, file)))
            ours_s.append(time.perf_counter() - begun)
    return _Pair(bare_ms=_median_ms(bare_s), ours_ms=_median_ms(ours_s))


async def _blurs_for(bare: _Bare, *, seconds: float) -> int:
    """How many blurs make a run of about this length on this machine."""
    blurs = 1
    while True:
        begun = time.perf_counter()
        await bare.run(_graph(blurs), _picture())
        if time.perf_counter() - begun >= seconds:
            return blurs
        blurs *= 2


async def _run(engine: ComfyEngine, ticket: Ticket) -> None:
    """The rest of a job as the desktop and the worker do it."""
    await engine.start(ticket)
    async for event in engine.follow(ticket):
        if isinstance(event, Completed):
            for output in event.outputs:
                await engine.fetch(ticket, output, io.BytesIO())
    await engine.forget(ticket)


async def _pipelined_gap(engine: ComfyEngine, bare: _Bare, url: str) -> _Pair:
    """Mean time from the end of a prompt to the start of the next, by the server's own clock; the runs
    together are shorter than 10 s.
    """
    graph = _graph(await _blurs_for(bare, seconds=0.05))
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        queued = [await _queue(http, graph) for _ in range(_PIPELINED)]
        floor = [await _span_ms(http, prompt_id) for prompt_id in queued]
        with tempfile.TemporaryDirectory() as folder:
            works = iter([_work(graph, _file(Path(folder))) for _ in range(_PIPELINED)])
            lanes = [_lane(engine, http, works) for _ in range(_DEPTH)]
            ours = [span for spans in await asyncio.gather(*lanes) for span in spans]
    return _Pair(bare_ms=_mean_pause_ms(floor), ours_ms=_mean_pause_ms(ours))


async def _queue(http: httpx.AsyncClient, graph: dict[str, JsonValue]) -> str:
    picture, prompt_id = _picture(), new_id()
    name = f"{digest_bytes(picture)}.png"
    await http.post("/upload/image", files={"image": (name, picture, "image/png")})
    (
        await http.post("/prompt", json={"prompt": _named(graph, name), "prompt_id": prompt_id})
    ).raise_for_status()
    return prompt_id


async def _lane(
    engine: ComfyEngine, http: httpx.AsyncClient, works: Iterator[GraphWork]
) -> list[tuple[int, int]]:
    """One of the open tickets: takes the next work as soon as its own is done, and clears up behind it."""
    cleared: list[asyncio.Task[tuple[int, int]]] = []
    async with asyncio.TaskGroup() as behind:
        for work in works:
            ticket = await engine.prepare(work)
            await engine.start(ticket)
            async for _ in engine.follow(ticket):
                pass
            cleared.append(behind.create_task(_cleared(engine, http, ticket)))
    return [task.result() for task in cleared]


async def _cleared(engine: ComfyEngine, http: httpx.AsyncClient, ticket: Ticket) -> tuple[int, int]:
    span = await _span_ms(http, ticket.run_id)
    await engine.forget(ticket)
    return span


async def _span_ms(http: httpx.AsyncClient, prompt_id: str) -> tuple[int, int]:
    """When the prompt began and ended, in ms since the epoch; waits for its end."""
    while True:
        history = (await http.get(f"/history/{prompt_id}")).json()
        if history:
            at = {name: data.get("timestamp") for name, data in history[prompt_id]["status"]["messages"]}
            return at["execution_start"], at["execution_success"]
        await asyncio.sleep(0.05)


def _mean_pause_ms(spans: Sequence[tuple[int, int]]) -> float:
    """Without the longest: every 10 s at most, ComfyUI collects garbage between two prompts, for 0.2 s."""
    pauses = sorted(begun - ended for (_, ended), (begun, _) in pairwise(sorted(spans)))[:-1]
    return sum(pauses) / len(pauses)


def _median_ms(seconds: Sequence[float]) -> float:
    return median(seconds) * 1000


def _graph(blurs: int) -> dict[str, JsonValue]:
    """Load, blur so many times, save."""
    graph: dict[str, JsonValue] = {"0": {"class_type": "LoadImage", "inputs": {"image": ""}}}
    for number in range(1, blurs + 1):
        inputs: dict[str, JsonValue] = {"image": [str(number - 1), 0], "blur_radius": 5, "sigma": 1.0}
        graph[str(number)] = {"class_type": "ImageBlur", "inputs": inputs}
    saved: dict[str, JsonValue] = {"images": [str(blurs), 0], "filename_prefix": "bench/picture"}
    graph["save"] = {"class_type": "SaveImage", "inputs": saved}
    return graph


def _named(graph: dict[str, JsonValue], picture: str) -> dict[str, JsonValue]:
    return {**graph, "0": {"class_type": "LoadImage", "inputs": {"image": picture}}}


def _picture() -> bytes:
    """A 512×512 PNG that no server has seen."""
    noise = np.random.default_rng([os.getpid(), next(_serial)]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((512, 512)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _file(folder: Path) -> InputFile:
    picture = _picture()
    digest = digest_bytes(picture)
    path = folder / f"{digest}.png"
    path.write_bytes(picture)
    return InputFile(path=path, digest=digest, name="picture.png")


def _work(graph: dict[str, JsonValue], file: InputFile) -> GraphWork:
    return GraphWork(
        job_id=new_id(), graph=parse_graph(_named(graph, file.name)), inputs=(GraphInput("0", "image", file),)
    )
