"""One look into one file of a hot folder, on a thread: is it finished, what does it hold, does it decode."""

import hashlib
import io
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from desktop.jobs.origin import read_origin
from desktop.store.ledger import FileStamp
from desktop.watching.leases import Writers, writers_of
from desktop.watching.mounts import Mount
from desktop.watching.names import Skip
from desktop.watching.settle import Evidence, Patience, Quiet, Ready, Wait, settle
from shared.errors import UsageError
from shared.ids import derived_key
from shared.media import DEFAULT_INPUT_LIMITS, verify_image

__all__ = ["Absent", "Changed", "Content", "Inspection", "Odd", "Unready", "inspect", "verify"]

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing of that name is there."""


@dataclass(frozen=True, slots=True)
class Odd:
    """Something is there that is no regular file, or may not be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unready:
    wait: Wait


@dataclass(frozen=True, slots=True)
class Changed:
    """It was written to while it was read: read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a finished file holds. `device` tells it from files of the same inode elsewhere."""

    stamp: FileStamp
    device: int
    digest: str
    links: int


Inspection = Absent | Odd | Unready | Changed | Content


def inspect(
    path: Path, *, evidence: Evidence, mount: Mount, quiet: Quiet | None, patience: Patience
) -> Inspection:
    """Never follows a link and never waits for a writer, a pipe or a device."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return Odd(Skip.LINK if path.is_symlink() else Skip.SPECIAL)
        handle = os.open(path, _OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return Absent()
    except OSError as error:
        return Odd(error.strerror or str(error))
    with io.FileIO(handle) as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            return Odd(Skip.SPECIAL)
        stamp = FileStamp.of(before)
        decision = settle(
            stamp,
            evidence=evidence,
            writers=writers_of(handle) if mount is Mount.LOCAL else Writers.UNKNOWN,
            mount=mount,
            quiet=quiet,
            now=time.monotonic(),
            patience=patience,
        )
        match decision:
            case Wait():
                return Unready(decision)
            case Ready():
                pass
        try:
            digest = _digest(file, before)
        except OSError as error:
            return Odd(error.strerror or str(error))
        if FileStamp.of(os.fstat(handle)) != stamp:
            return Changed()
    return Content(stamp=stamp, device=before.st_dev, digest=digest, links=before.st_nlink)


def verify(path: Path, stamp: FileStamp) -> UsageError | tuple[str, ...] | Changed:
    """Decode the whole picture; its lineage (hot folders it passed) if it is good.

    An error is what is wrong with the file as it was when `stamp` was taken.
    """
    result: UsageError | tuple[str, ...]
    try:
        verify_image(path, DEFAULT_INPUT_LIMITS)
        origin = read_origin(path)
        result = () if origin is None else origin.lineage
    except UsageError as error:
        result = error
    except OSError:
        return Changed()
    try:
        return result if FileStamp.of(path.lstat()) == stamp else Changed()
    except OSError:
        return Changed()


def _digest(file: io.FileIO, status: os.stat_result) -> str:
    """A file above the limit is refused whatever it holds, so it is not read to its end."""
    if status.st_size > DEFAULT_INPUT_LIMITS.max_bytes:
        return derived_key("too large", str(status.st_size), str(status.st_mtime_ns))
    return hashlib.file_digest(file, "sha256").hexdigest()
