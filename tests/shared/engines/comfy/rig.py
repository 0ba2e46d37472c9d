"""The engine suite's rig for ComfyUI, on the stand-in and on a real server."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from shared.comfy.client import ComfyClient
from shared.comfy.graph import parse_graph
from shared.comfy.patience import Patience
from shared.engines.base import GraphWork, Ticket, Work
from shared.engines.comfy import ComfyEngine
from shared.media import MediaLimits
from tests.contract.engine_suite import EngineRig
from tests.support.comfy_server import ComfyServer, OutputFault

__all__ = ["QUICK_PATIENCE", "RealRig", "StandInRig", "make_engine", "sampling", "saving"]

QUICK_PATIENCE = Patience(
    answer_s=5.0,
    first_socket_s=2.0,
    poll_s=0.5,
    poll_blind_s=0.1,
    settle_s=0.1,
    deaf_after_s=0.3,
    silent_after_s=1.0,
    lost_after_s=0.1,
    unreachable_s=1.0,
)


_SMALL = MediaLimits(max_bytes=1 << 20, max_pixels=256 * 256, max_frames=1)


def make_engine(
    url: str, folder: Path, *, patience: Patience = QUICK_PATIENCE, **options: object
) -> ComfyEngine:
    return ComfyEngine(client=ComfyClient(url, patience=patience), spool_folder=folder, **options)


def saving(colour: int) -> dict:
    """Two pictures from one node, one from another."""
    return {
        "1": _node("EmptyImage", width=32, height=24, batch_size=2, color=colour),
        "2": _node("SaveImage", images=["1", 0], filename_prefix="safelight/pair"),
        "3": _node("EmptyImage", width=16, height=16, batch_size=1, color=colour),
        "4": _node("SaveImage", images=["3", 0], filename_prefix="safelight/one"),
    }


def sampling(steps: int, seed: int, checkpoint: str = "random_sd15_fp16.safetensors") -> dict:
    return {
        "4": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "5": _node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": _node("CLIPTextEncode", text="a portrait", clip=["4", 1]),
        "3": _node(
            "KSampler",
            seed=seed,
            steps=steps,
            cfg=1.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["6", 0],
            latent_image=["5", 0],
        ),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": _node("SaveImage", images=["8", 0], filename_prefix="safelight/sampled"),
    }


def _node(class_type: str, **inputs: object) -> dict:
    return {"class_type": class_type, "inputs": inputs}


class ComfyRig(EngineRig):
    """Each work has a colour or seed of its own, so that nothing comes from a cache."""

    def __init__(self, url: str, folder: Path, stack: AsyncExitStack) -> None:
        self._url = url
        self._folder = folder
        self._stack = stack
        self._engine = self._opened()
        self._seed = time.time_ns() % 2**24

    @property
    def engine(self) -> ComfyEngine:
        return self._engine

    async def another_process(self) -> ComfyEngine:
        return self._opened()

    def quick_work(self, job_id: str) -> Work:
        return self._work(job_id, saving(self._next()))

    def slow_work(self, job_id: str) -> Work:
        return self._work(job_id, sampling(2000, self._next()))

    def failing_work(self, job_id: str) -> Work:
        graph = {
            "1": _node("EmptyImage", width=32, height=24, batch_size=1, color=self._next()),
            "2": _node("ImageBlur", image=["1", 0], blur_radius=31, sigma=1.0),
            "3": _node("SaveImage", images=["2", 0], filename_prefix="safelight/never"),
        }
        return self._work(job_id, graph)

    def refused_work(self, job_id: str) -> tuple[Work, str, str]:
        graph = saving(self._next())
        graph["1"]["inputs"]["width"] = 999_999
        return self._work(job_id, graph), "1", "width"

    def _opened(self) -> ComfyEngine:
        engine = make_engine(self._url, self._folder)
        self._stack.push_async_callback(engine.aclose)
        return engine

    def _next(self) -> int:
        self._seed = (self._seed + 1) % 2**24
        return self._seed

    def _work(self, job_id: str, graph: dict) -> GraphWork:
        return GraphWork(job_id=job_id, graph=parse_graph(graph))


class StandInRig(ComfyRig):
    def __init__(self, server: ComfyServer, folder: Path, stack: AsyncExitStack) -> None:
        super().__init__(server.url, folder, stack)
        self._server = server

    async def runs(self, ticket: Ticket) -> int:
        return self._server.begun.count(ticket.run_id)

    async def lose(self, ticket: Ticket) -> None:
        await self._server.restart()

    async def bad_output_work(self, job_id: str) -> Work:
        self._server.faults.output = OutputFault.TRUNCATED
        return self.quick_work(job_id)


class RealRig(ComfyRig):
    """What a fault of the server would do is done to it from outside."""

    async def runs(self, ticket: Ticket) -> int:
        async with httpx.AsyncClient(base_url=self._url) as http:
            queue = (await http.get("/queue")).json()
            history = (await http.get(f"/history/{ticket.run_id}")).json()
        return len(history) + sum(item[1] == ticket.run_id for item in queue["queue_running"])

    async def lose(self, ticket: Ticket) -> None:
        """Interrupted and struck from the history: all that a restart would leave."""
        other = ComfyClient(self._url)
        await other.cancel(ticket.run_id)
        await other.erase(ticket.run_id)
        await other.aclose()

    async def bad_output_work(self, job_id: str) -> Work:
        """A real server's files are whole, so here it is a limit that they break."""
        graph = saving(self._next())
        graph["1"]["inputs"]["width"] = 512
        graph["1"]["inputs"]["height"] = 512
        return self._work(job_id, graph)

    def _opened(self) -> ComfyEngine:
        engine = make_engine(self._url, self._folder, patience=Patience(), output_limits=_SMALL)
        self._stack.push_async_callback(engine.aclose)
        return engine
