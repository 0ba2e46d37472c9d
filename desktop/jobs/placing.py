"""Finished files put in front of the user: never over another file, never half."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from shared.errors import TransientError
from shared.files import TEMPORARY_PREFIX, digest_file, flush_folder
from shared.naming import fold_name, free_name

__all__ = [
    "DeliveryBlocked",
    "FolderNames",
    "explained",
    "place_exclusively",
    "staging_file",
    "staging_path",
    "was_placed",
]

_FLOOR_BYTES = 500 << 20
_NO_LINKS = {
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EXDEV,
    errno.EACCES,
}
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not allowed",
    errno.EPERM: "writing there is not allowed",
    errno.ENOTDIR: "part of the path is a file",
    errno.ENAMETOOLONG: "the path is too long",
}


class DeliveryBlocked(TransientError):
    """The output folder takes no file just now."""

    code = "delivery_blocked"


def staging_path(folder: Path, job_id: str, number: int) -> Path:
    """Always the same for one output, so that a crash leaves nothing that is not found again."""
    return folder / f"{TEMPORARY_PREFIX}{job_id}-{number}"


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """What the system refuses, as DeliveryBlocked."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise DeliveryBlocked(f"{folder} cannot be written: {reason}", folder=str(folder)) from error


@contextlib.contextmanager
def staging_file(path: Path) -> Iterator[BinaryIO]:
    """A new file at `path` in place of any earlier one, on the disk at the end; none after an error.

    Raises DeliveryBlocked, also when the disk is nearly full.
    """
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_space(path.parent)
        path.unlink(missing_ok=True)  # never truncate: it may be a second name of a placed file
        try:
            with path.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _require_space(folder: Path) -> None:
    usage = shutil.disk_usage(folder)
    if usage.free < min(_FLOOR_BYTES, usage.total // 100):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def place_exclusively(staged: Path, final: Path) -> None:
    """Give the staged file its final name, at once and only if nothing has it; raises FileExistsError.

    Where the system can, `staged` stays as a second name, to be removed once the placing is
    journalled.
    """
    if os.name == "nt":
        staged.rename(final)  # refuses an existing name there
        return
    try:
        os.link(staged, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(final, os.O_CREAT | os.O_EXCL))
        staged.replace(final)
    flush_folder(final.parent)


def was_placed(staged: Path, final: Path, file_digest: str) -> bool:
    """Whether a run that died had already placed its file under `final`."""
    with contextlib.suppress(OSError):
        if staged.stat().st_nlink > 1:
            return True
    try:
        return final.is_file() and digest_file(final) == file_digest
    except OSError:
        return False


@dataclass(slots=True)
class FolderNames:
    """Folded names of the folders written to, read again only when somebody else changed one."""

    _known: dict[Path, tuple[int, set[str]]] = field(default_factory=dict)

    def choose(self, folder: Path, name: str) -> Path:
        stamp = folder.stat().st_mtime_ns
        known_stamp, names = self._known.get(folder, (-1, set()))
        if known_stamp != stamp:
            names = {fold_name(entry.name) for entry in os.scandir(folder)}
            self._known[folder] = (stamp, names)
        return folder / free_name(name, names)

    def add(self, path: Path) -> None:
        _, names = self._known.get(path.parent, (-1, set()))
        names.add(fold_name(path.name))
        self._known[path.parent] = (path.parent.stat().st_mtime_ns, names)
