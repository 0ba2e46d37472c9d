"""Hot folders: bursts without loss, a first scan, and the way from a close to a start."""

import asyncio
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from PIL import Image

from desktop.jobs.bell import Bell
from desktop.jobs.queue import JobQueue
from desktop.settings import Settings
from desktop.store import ledger as rows
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.watching.inotify import Inotify, Mask
from desktop.watching.plan import plan
from desktop.watching.scanner import scan_folder
from desktop.watching.watch import open_watch
from shared.engines.base import InputFile, PresetWork
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.events import Started
from shared.media import READABLE_SUFFIXES, check_image
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values
from tests.bench.figure import Figure
from tests.bench.starts import WARM_UP, hot_folder, photographs, preset, save, watched_starts

__all__ = ["measure"]

_BURST = 20_000
_SCANNED = 100_000
_FOLDERS = 1_000
_SCANS = 4
_ROUNDS = 20

# Tiny bitmaps, each with a colour of its own, written as fast as this machine can.
_WRITER = """
import pathlib, struct, sys
root, first, last = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(first, last):
    folder = root / f"new{number % 200}" / f"in{number % 7}"
    folder.mkdir(parents=True, exist_ok=True)
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
    (folder / f"{number}.bmp").write_bytes(head + number.to_bytes(4, "little"))
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        root = Path(name)
        return [
            asyncio.run(_burst(root / "burst")),
            *_first_scan(root / "scan"),
            asyncio.run(_close_to_started(root / "start")),
        ]


async def _burst(root: Path) -> Figure:
    """Half of the files while the watcher runs; half while this process stands still and it overflows."""
    folder = hot_folder(root)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(root / "journal.sqlite3"))
        holder = stack.enter_context(Holder(root / "holders"))
        queue = JobQueue(database=database, holder=holder, bell=Bell())
        watch = await stack.enter_async_context(
            open_watch(folder, database=database, queue=queue, locks=root / "locks", notify=lambda _: None)
        )
        running = asyncio.create_task(watch.run())
        await asyncio.to_thread(subprocess.run, _writer(folder.source, 0, _BURST // 2), check=True)
        _stand_still(_writer(folder.source, _BURST // 2, _BURST))
        found = await _until_settled(database)
        running.cancel()
        await asyncio.wait([running])
    return Figure(
        name=f"files lost of {_BURST:,}: new subfolders, a forced overflow",
        value=float(_BURST - found),
        floor=0.0,
        unit="files",
        floor_name="none",
        goal_value=0.0,
    )


def _writer(source: Path, first: int, last: int) -> list[str]:
    return [sys.executable, "-c", _WRITER, str(source), str(first), str(last)]


def _stand_still(command: list[str]) -> None:
    """Run it with the interpreter locked: no thread of ours reads an event meanwhile."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit >= _BURST:  # a file makes two events
        raise RuntimeError(f"fs.inotify.max_queued_events is {limit}: the burst would not overflow it")
    process = subprocess.Popen(command)
    ctypes.PyDLL(None).waitpid(process.pid, ctypes.byref(ctypes.c_int()), 0)
    process.returncode = 0


async def _until_settled(database: Database) -> int:
    """Distinct files in the journal, once the number has not grown for three seconds."""
    found, since = -1, time.monotonic()
    while time.monotonic() - since < 3:
        now = await database.read(
            lambda c: int(c.execute("SELECT count(DISTINCT relative_path) FROM jobs").fetchone()[0])
        )
        if now != found:
            found, since = now, time.monotonic()
        await asyncio.sleep(0.1)
    return found


def _first_scan(root: Path) -> list[Figure]:
    for number in range(_SCANNED):
        path = root / f"{number % _FOLDERS}" / f"picture {number:06}.jpg"
        if number < _FOLDERS:
            path.parent.mkdir(parents=True)
        path.touch()
    return asyncio.run(_scans(root))


async def _scans(root: Path) -> list[Figure]:
    """Each beside the bare one, in turns, so that a busy machine slows both."""
    bare: list[float] = []
    times: dict[str, list[float]] = {"all new": [], "all known": []}
    async with Database(root.with_suffix(".sqlite3")) as database:
        for found in times.values():
            for _ in range(_SCANS):
                bare.append(_timed(lambda: _bare_scan(root)))
                found.append(await _scan_and_compare(root, database))
            files = scan_folder(root, suffixes=READABLE_SUFFIXES).files
            await database.write(lambda c, files=files: rows.baseline(c, "folder", files, 0))
    return [
        Figure(
            name=f"scan of {_SCANNED:,} files, {kind}, ledger compared",
            value=min(found),
            floor=min(bare),
            unit="ms",
            floor_name="scandir and stat",
            goal_ratio=3.0,
        )
        for kind, found in times.items()
    ]


def _bare_scan(root: Path) -> int:
    count = 0
    waiting = [os.fspath(root)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    count += entry.stat(follow_symlinks=False).st_size >= 0
    return count


async def _scan_and_compare(root: Path, database: Database) -> float:
    begun = time.perf_counter()
    scan = await asyncio.to_thread(lambda: scan_folder(root, suffixes=READABLE_SUFFIXES))
    known = await database.read(lambda c: rows.known_stamps(c, "folder", 0))
    await asyncio.to_thread(plan, scan, known, ())
    return (time.perf_counter() - begun) * 1000


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


async def _close_to_started(root: Path) -> Figure:
    pictures = photographs(_ROUNDS)
    floor = await _bare_starts(root / "bare", pictures)
    settings = Settings(data_dir=root / "data")
    ours = await watched_starts(hot_folder(root / "watched"), settings, pictures)
    return Figure(
        name="close of a 512×512 PNG to started, built-in engine",
        value=statistics.median(ours[WARM_UP:]),
        floor=statistics.median(floor[WARM_UP:]),
        unit="ms",
        floor_name="raw inotify, header read, engine called directly",
        goal_value=10.0,
    )


async def _bare_starts(root: Path, pictures: list[Image.Image]) -> list[float]:
    source = root / "source"
    source.mkdir(parents=True)
    chosen = preset()
    async with _bare_engine(root) as engine:
        inotify = Inotify()
        inotify.add(os.fspath(source), Mask.CLOSE_WRITE)
        times: list[float] = []
        for number, picture in enumerate(pictures):
            path = source / f"{number}.png"
            saved = asyncio.create_task(asyncio.to_thread(save, picture, path))
            await asyncio.to_thread(inotify.read)
            begun = await _start(engine, chosen, path)
            times.append((begun - await saved) * 1000)
        inotify.close()
    return times


@asynccontextmanager
async def _bare_engine(root: Path) -> AsyncIterator[BuiltinEngine]:
    pool = ProcessPool(size=max(1, (os.cpu_count() or 1) - 1))
    engine = BuiltinEngine(state_folder=root / "engine", pool=pool)
    try:
        yield engine
    finally:
        await engine.aclose()
        await pool.aclose()


async def _start(engine: BuiltinEngine, chosen: Preset, path: Path) -> float:
    """Run the picture to its end; returns the moment it was started."""
    primary = chosen.manifest.primary_input or chosen.manifest.inputs[0]
    check_image(path)
    file = InputFile(path=path, digest=digest_file(path), name=path.name)
    work = PresetWork(
        job_id=new_id(),
        preset=chosen,
        values=resolve_values(chosen.manifest, {}),
        inputs={primary.id: (file,)},
    )
    ticket = await engine.prepare(work)
    await engine.start(ticket)
    begun = 0.0
    async for event in engine.follow(ticket):
        if isinstance(event, Started):
            begun = time.perf_counter()
    await engine.forget(ticket)
    return begun
