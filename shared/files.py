"""Files written so that a crash leaves either the old state or the new one, never half."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["TEMPORARY_PREFIX", "digest_bytes", "digest_file", "flush_folder", "replace_file", "staged_file"]

TEMPORARY_PREFIX = ".safelight-"


def digest_bytes(data: bytes) -> str:
    """SHA-256 of the bytes, as 64 lower-case hex digits: the name of an artifact."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's content, as 64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def staged_file(folder: Path, *, suffix: str = "") -> Iterator[tuple[BinaryIO, Path]]:
    """A temporary file in `folder` (made if missing), removed at the end unless it was renamed.

    The name starts with TEMPORARY_PREFIX, which every watcher ignores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=suffix, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably, replacing what is there."""
    with staged_file(path.parent) as (file, temporary):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        temporary.replace(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the folder's entries durable, where the system can open folders (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
