"""A core with a data folder of its own, and pictures to work on."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from desktop.runtime import Runtime
from desktop.settings import Settings
from desktop.store.job import Job

__all__ = ["BOUND_S", "GRAPH", "Pictures", "until"]

BOUND_S = 60.0
GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
}


class Pictures:
    """A folder of small pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, shade: int = 120) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 32), (shade, 60, 20)).save(path)
        return path

    def add_graph(self) -> Path:
        path = self.folder / "graph.json"
        path.write_text(json.dumps(GRAPH))
        return path


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path / "in")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        output_dir=tmp_path / "out",
        comfyui_url="http://127.0.0.1:9",  # nothing answers there
        processes=1,
    )


async def until(runtime: Runtime, job_id: str, holds: Callable[[Job], bool]) -> Job:
    async with asyncio.timeout(BOUND_S):
        while not holds(job := await runtime.queue.get(job_id)):  # noqa: ASYNC110 - another process may move it
            await asyncio.sleep(0.02)
    return job
