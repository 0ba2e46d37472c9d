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
from desktop.watching.leases import writers_of
from desktop.watching.mounts import Mount
from desktop.watching.names import Skip
from desktop.watching.settle import Evidence, Patience, Quiet, Wait, settle
from shared.errors import UsageError
from shared.ids import derived_key
from shared.media import DEFAULT_INPUT_LIMITS, check_image, verify_image

__all__ = ["Absent", "Changed", "Content", "Inspection", "Odd", "Unready", "Verified", "inspect", "verify"]

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
    """Something is there that is no regular file; or it cannot be read, which may pass."""

    reason: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class Unready:
    wait: Wait


@dataclass(frozen=True, slots=True)
class Changed:
    """It was written to while it was read: read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a finished file holds."""

    __match_args__ = ("stamp", "digest")
    stamp: FileStamp
    digest: str


Inspection = Absent | Odd | Unready | Changed | Content

# What is wrong with the picture, or the hot folders that a good one came through.
Verified = UsageError | tuple[str, ...] | Changed


def inspect(
    path: Path, *, evidence: Evidence, mount: Mount, quiet: Quiet | None, patience: Patience
) -> Inspection:
    """Never follows a link and never waits for a writer, a pipe or a device."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return Odd(Skip.LINK if path.is_symlink() else Skip.SPECIAL)
        with io.FileIO(os.open(path, _OPEN_FLAGS)) as file:
            return _read(file, evidence=evidence, mount=mount, quiet=quiet, patience=patience)
    except (FileNotFoundError, NotADirectoryError):
        return Absent()
    except OSError as error:
        return Odd(error.strerror or str(error), may_pass=True)


def _read(
    file: io.FileIO, *, evidence: Evidence, mount: Mount, quiet: Quiet | None, patience: Patience
) -> Inspection:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return Odd(Skip.SPECIAL)
    stamp = FileStamp.of(status)
    decision = settle(
        stamp,
        evidence=evidence,
        writers=writers_of(file.fileno()),
        mount=mount,
        quiet=quiet,
        now=time.monotonic(),
        patience=patience,
    )
    if isinstance(decision, Wait):
        return Unready(decision)
    digest = _digest(file, status)
    if FileStamp.of(os.fstat(file.fileno())) != stamp:
        return Changed()
    return Content(stamp=stamp, digest=digest)


def verify(path: Path, stamp: FileStamp, *, thoroughly: bool) -> Verified:
    """The picture as it was when `stamp` was taken; decoded as a whole only if `thoroughly`."""
    result: Verified
    try:
        check = verify_image if thoroughly else check_image
        check(path, DEFAULT_INPUT_LIMITS)
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
