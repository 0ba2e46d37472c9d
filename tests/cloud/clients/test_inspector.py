import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from cloud.clients.inspection import Findings, Refusal
from cloud.clients.inspector import Inspector
from shared.files import digest_bytes
from shared.media import MediaLimits

LIMITS = MediaLimits(max_bytes=1 << 20, max_pixels=1 << 20, max_frames=16)


@pytest.fixture
async def inspector() -> AsyncIterator[Inspector]:
    opened = Inspector(limits=LIMITS)
    yield opened
    await opened.aclose()


def _saved(folder: Path, data: bytes) -> tuple[Path, str, int]:
    path = folder / "blob"
    path.write_bytes(data)
    return path, digest_bytes(data), len(data)


def _picture(format: str, **more: object) -> bytes:  # noqa: A002 - as Pillow calls it
    file = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(file, format, **more)
    return file.getvalue()


async def test_pictures_of_every_kind_pass_and_their_tails_do_not(
    inspector: Inspector, tmp_path: Path
) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "TIFF"):
        data = _picture(kind)
        path, digest, size = _saved(tmp_path, data)
        found = await inspector.inspect(path, digest=digest, size=size)
        assert isinstance(found, Findings), (kind, found)
        assert (found.width, found.height) == (40, 30)
        if kind != "TIFF":  # whose end is nowhere said
            path, digest, size = _saved(tmp_path, data + b"<script>alert(1)</script>")
            refused = await inspector.inspect(path, digest=digest, size=size)
            assert isinstance(refused, Refusal), kind
            assert refused.code in {"polyglot", "broken_media"}, (kind, refused)


async def test_progressive_jpeg_with_restarts_ends_where_it_ends(
    inspector: Inspector, tmp_path: Path
) -> None:
    data = _picture("JPEG", progressive=True, restart_marker_blocks=1)
    path, digest, size = _saved(tmp_path, data)
    assert isinstance(await inspector.inspect(path, digest=digest, size=size), Findings)


async def test_other_bytes_than_announced_are_refused(inspector: Inspector, tmp_path: Path) -> None:
    path, digest, size = _saved(tmp_path, _picture("PNG"))
    for other in ((digest, size + 1), ("0" * 64, size)):
        refused = await inspector.inspect(path, digest=other[0], size=other[1])
        assert isinstance(refused, Refusal)
        assert refused.code == "digest_mismatch"


async def test_refusal_names_no_path(inspector: Inspector, tmp_path: Path) -> None:
    path, digest, size = _saved(tmp_path, _picture("PNG")[:200])
    refused = await inspector.inspect(path, digest=digest, size=size)
    assert isinstance(refused, Refusal)
    assert "blob" not in refused.message
    assert str(tmp_path) not in refused.message


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
async def test_file_that_ends_the_process_ends_no_other(inspector: Inspector, tmp_path: Path) -> None:
    """The process is stopped before it can read the question, and killed with it in hand."""
    path, digest, size = _saved(tmp_path, _picture("PNG"))
    await inspector.start()
    pid = inspector.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asking = asyncio.create_task(inspector.inspect(path, digest=digest, size=size))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)

    refused = await asking
    assert isinstance(refused, Refusal)
    assert refused.code == "too_heavy"
    assert isinstance(await inspector.inspect(path, digest=digest, size=size), Findings)
