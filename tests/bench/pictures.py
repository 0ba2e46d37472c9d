"""Thumbnails: the first look at a photograph, and every later one."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from PySide6.QtGui import QImageReader

from desktop.state.pictures import read_picture
from desktop.state.thumbnail_store import ThumbnailStore
from shared.presets.bundle import sample_photos_folder
from tests.bench.figure import Figure

__all__ = ["measure"]

_SIDE = 160
_ROUNDS = 9
_CACHED = 400


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        with Image.open(sample_photos_folder() / "landscape.jpg") as sample:
            sample.convert("RGB").resize((6000, 4000)).save(photo, quality=92)
        store = ThumbnailStore(Path(folder, "kept"))
        store.keep(photo, _SIDE, read_picture(photo, _SIDE))
        [kept] = Path(folder, "kept").iterdir()
        first, draft = _alternating(lambda: read_picture(photo, _SIDE), lambda: _draft(photo), times=1)
        later, bare = _alternating(
            lambda: store.find(photo, _SIDE), lambda: QImageReader(str(kept)).read(), times=_CACHED
        )
    return [
        Figure(
            name="thumbnail of a JPEG of 24 megapixels",
            value=first,
            floor=draft,
            unit="ms",
            floor_name="Pillow's draft decoding alone",
            goal_ratio=1.5,
        ),
        Figure(
            name="the same, looked at before",
            value=later,
            floor=bare,
            unit="ms",
            floor_name="Qt reading the small JPEG alone",
            goal_ratio=1.5,
        ),
    ]


def _draft(photo: Path) -> None:
    with Image.open(photo) as image:
        image.draft("RGB", (_SIDE, _SIDE))
        image.load()


def _alternating(
    ours: Callable[[], object], floor: Callable[[], object], *, times: int
) -> tuple[float, float]:
    """Medians, in milliseconds a call."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for call, kept in zip((ours, floor), found, strict=True):
            began = time.perf_counter()
            for _ in range(times):
                call()
            kept.append((time.perf_counter() - began) * 1000 / times)
    return statistics.median(found[0]), statistics.median(found[1])
