"""The built-in engine against plain Pillow and numpy doing the same operations."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.engines.base import GraphInput, GraphWork
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.ids import new_id
from shared.jobs.events import Completed, Started
from tests.bench.figure import Figure
from tests.support.builtin_works import graph_work, input_file, node

__all__ = ["measure"]

_ROUNDS = 2
_TINY_ROUNDS = 20
Floats = npt.NDArray[np.float32]


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        return asyncio.run(_measured(Path(name)))


async def _measured(folder: Path) -> list[Figure]:
    large, medium, tiny = (
        _photograph(folder / f"{width}.jpg", width, height)
        for width, height in ((6000, 4000), (4240, 2832), (64, 64))
    )
    pool = ProcessPool()
    engine = BuiltinEngine(state_folder=folder / "state", pool=pool)
    await pool.prestart()
    try:
        return [
            await _compared(
                "24 MP halved by lanczos", engine, _halving(large), lambda: _halve(large, folder)
            ),
            await _compared(
                "12 MP blurred and screened", engine, _glowing(medium), lambda: _glow(medium, folder)
            ),
            await _compared("12 MP sharpened", engine, _sharpening(medium), lambda: _sharpen(medium, folder)),
            await _started(engine, tiny),
        ]
    finally:
        await engine.aclose()
        await pool.aclose()


async def _compared(
    name: str, engine: BuiltinEngine, work: Callable[[], GraphWork], floor: Callable[[], None]
) -> Figure:
    """Alternating, so that both meet the same neighbours on the machine; the best of each counts."""
    ours, plain = [], []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        await _run(engine, work())
        ours.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        await asyncio.to_thread(floor)
        plain.append(time.perf_counter() - begun)
    return Figure(
        name=f"built-in engine: {name}, ticket to result",
        value=min(ours) * 1000,
        floor=min(plain) * 1000,
        unit="ms",
        floor_name="plain Pillow and numpy",
        goal_ratio=1.2,
    )


async def _run(engine: BuiltinEngine, work: GraphWork) -> None:
    ticket = await engine.prepare(work)
    await engine.start(ticket)
    events = [event async for event in engine.follow(ticket)]
    if not isinstance(events[-1], Completed):
        raise RuntimeError(f"the run did not complete: {events[-1]}")
    await engine.forget(ticket)


async def _started(engine: BuiltinEngine, picture: Path) -> Figure:
    """From handing the work over to its `started`; the floor is a thread and back."""
    work = _graph(picture, {"2": node("ImageInvert", image=["1", 0])}, "2")
    waits, hops = [], []
    for _ in range(_TINY_ROUNDS):
        begun = time.perf_counter()
        ticket = await engine.prepare(work())
        await engine.start(ticket)
        waits += [
            time.perf_counter() - begun async for event in engine.follow(ticket) if isinstance(event, Started)
        ]
        await engine.forget(ticket)
        begun = time.perf_counter()
        await asyncio.to_thread(picture.read_bytes)
        hops.append(time.perf_counter() - begun)
    return Figure(
        name="built-in engine: work handed over to started",
        value=statistics.median(waits) * 1000,
        floor=statistics.median(hops) * 1000,
        unit="ms",
        floor_name="reading the file in a thread",
        goal_value=8,
    )


def _photograph(path: Path, width: int, height: int) -> Path:
    """Smooth shapes with the noise of a sensor."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    noise = np.random.default_rng(7).normal(0, 4, (height, width, 1)).astype(np.float32)
    waves = [np.sin(columns / (91 + 40 * band)) + np.cos(rows / (130 - 20 * band)) for band in range(3)]
    values = np.stack(waves, axis=-1) * 55 + 125 + noise
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def _graph(picture: Path, nodes: dict[str, object], last: str) -> Callable[[], GraphWork]:
    graph = {
        "1": node("LoadImage", image=picture.name),
        **nodes,
        "save": node("SaveImage", images=[last, 0], filename_prefix="bench"),
    }
    file = GraphInput("1", "image", input_file(picture))
    return lambda: graph_work(new_id(), graph, (file,))


def _halving(picture: Path) -> Callable[[], GraphWork]:
    scale = node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=0.5)
    return _graph(picture, {"2": scale}, "2")


def _halve(picture: Path, folder: Path) -> None:
    with Image.open(picture) as image:
        half = image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    half.save(folder / "plain.png", compress_level=4)


def _glowing(picture: Path) -> Callable[[], GraphWork]:
    blur = node("ImageBlur", image=["1", 0], blur_radius=8, sigma=1.0)
    blend = node("ImageBlend", image1=["1", 0], image2=["2", 0], blend_factor=0.4, blend_mode="screen")
    return _graph(picture, {"2": blur, "3": blend}, "3")


def _glow(picture: Path, folder: Path) -> None:
    values = _loaded(picture)
    screened = 1 - (1 - values) * (1 - _blurred(values, 8))
    _save(np.clip(values * np.float32(0.6) + screened * np.float32(0.4), 0, 1), folder)


def _sharpening(picture: Path) -> Callable[[], GraphWork]:
    sharpen = node("ImageSharpen", image=["1", 0], sharpen_radius=2, sigma=1.0, alpha=0.05)
    return _graph(picture, {"2": sharpen}, "2")


def _sharpen(picture: Path, folder: Path) -> None:
    values = _loaded(picture)
    _save(np.clip(values + np.float32(0.5) * (values - _blurred(values, 2)), 0, 1), folder)


def _loaded(picture: Path) -> Floats:
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def _blurred(values: Floats, radius: int) -> Floats:
    weights = np.exp(-(np.linspace(-1, 1, 2 * radius + 1) ** 2) / 2)
    weights /= weights.sum()
    height, width = values.shape[:2]
    padded = np.pad(values, ((radius, radius), (0, 0), (0, 0)), mode="reflect")
    down = sum(np.float32(weight) * padded[at : at + height] for at, weight in enumerate(weights))
    padded = np.pad(down, ((0, 0), (radius, radius), (0, 0)), mode="reflect")
    return sum(np.float32(weight) * padded[:, at : at + width] for at, weight in enumerate(weights))


def _save(values: Floats, folder: Path) -> None:
    pixels = np.clip(values * np.float32(255), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "plain.png", compress_level=4)
