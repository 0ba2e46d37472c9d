"""Where the bytes of artifacts are kept, by key; and the twin that keeps them in a local folder."""

import asyncio
import contextlib
import os
import re
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from shared.errors import FatalError, TransientError
from shared.failpoints import failpoint
from shared.files import flush_folder, staged_file
from shared.ids import new_id

__all__ = [
    "BlobMissing",
    "BlobStore",
    "BlobUnavailable",
    "LocalBlobStore",
    "SignedLink",
    "StoredBlob",
    "artifact_key",
    "checked_key",
]

_CHUNK_BYTES = 256 * 1024
_PROBE = b"safelight"
_KEY = re.compile(r"[a-z0-9][a-z0-9/_-]{0,199}")


class BlobMissing(FatalError):
    code = "blob_missing"


class BlobUnavailable(TransientError):
    """The store cannot be reached just now."""

    code = "blob_unavailable"


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A URL that the holder may use once it sends exactly these headers."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What a store tells of a blob when it lists it."""

    key: str
    bytes: int
    modified_at: datetime


class BlobStore(Protocol):
    """Bytes by key. Keys are lower-case digests and ids, with `/` between their parts.

    Bytes under a key never change: storing a key again is no error and changes nothing.
    """

    @property
    def staging_folder(self) -> Path:
        """Where to write a file that `adopt` will take: on the same file system if possible."""
        ...

    async def adopt(self, key: str, path: Path) -> None:
        """Take over a finished file, durably; `path` is gone afterwards."""
        ...

    async def size(self, key: str) -> int | None:
        """In bytes; None where there is nothing under the key."""
        ...

    def as_file(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The bytes as a file to read, never to write. Raises BlobMissing."""
        ...

    def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """From byte `start` up to, but without, byte `end`. Raises BlobMissing before the first chunk."""
        ...

    async def delete(self, key: str) -> None: ...

    async def delete_if(self, key: str, allowed: Callable[[], Awaitable[bool]]) -> bool:
        """Delete what others may store anew at any time, unless `allowed` says no; false if it did.

        A process that stands still at any moment within deletes nothing that was stored meanwhile.
        """
        ...

    def stored(self, prefix: str) -> AsyncIterator[StoredBlob]:
        """Every blob whose key lies below `prefix`, in no order."""
        ...

    async def upload_link(
        self, key: str, *, length: int, digest: str, valid_for: timedelta
    ) -> SignedLink | None:
        """A link for one direct PUT; None where uploads go through our own route."""
        ...

    async def download_link(
        self, key: str, *, name: str, media_type: str, valid_for: timedelta
    ) -> SignedLink | None:
        """A link for a direct GET, answered as `media_type` and saved under `name`; None where downloads
        go through our own route."""
        ...

    async def check(self) -> None:
        """Quick. Raises BlobUnavailable if the store does not answer."""
        ...

    async def probe(self) -> None:
        """Store, read and delete something. Raises BlobUnavailable."""
        ...

    async def aclose(self) -> None: ...


def artifact_key(account_id: str, digest: str) -> str:
    """Where an artifact's checked bytes are: accounts share none, so that none tells of another's."""
    return checked_key(f"artifacts/{account_id}/{digest}")


def checked_key(key: str) -> str:
    """`key` if it is one, so that no key ever leads out of the store."""
    if _KEY.fullmatch(key) is None or "//" in key or key.endswith("/"):
        raise FatalError("this is no key of the artifact store", key=key)
    return key


class LocalBlobStore:
    """Files in a folder, fanned out by the first digits of the key's last part.

    What goes is set aside first. Of a process that dies meanwhile nobody knows whether it should have gone:
    it is put back when it is next asked for. That does no harm, since bytes under a key never change.
    """

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder
        self._staging = folder / "staging"
        self._aside = folder / "aside"
        for place in (self._staging, self._aside):
            place.mkdir(parents=True, exist_ok=True)

    @property
    def staging_folder(self) -> Path:
        return self._staging

    async def adopt(self, key: str, path: Path) -> None:
        await asyncio.to_thread(self._adopt, self._path(key), path)

    async def size(self, key: str) -> int | None:
        return await asyncio.to_thread(self._size, key)

    @contextlib.asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        if await asyncio.to_thread(self._size, key) is None:
            raise BlobMissing("these bytes are not stored", key=key)
        yield self._path(key)

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(self._opened, key)
        except FileNotFoundError as error:
            raise BlobMissing("these bytes are not stored", key=key) from error
        left = sys.maxsize if end is None else end - start
        with file:
            file.seek(start)
            while chunk := await asyncio.to_thread(file.read, min(_CHUNK_BYTES, left)):
                left -= len(chunk)
                yield chunk

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    async def delete_if(self, key: str, allowed: Callable[[], Awaitable[bool]]) -> bool:
        """The bytes go aside first, and come back unless they may go for good."""
        aside = self._aside / f"{_flat(key)}.{new_id()}"
        path, may_go = self._path(key), False
        await asyncio.to_thread(self._put_all_back, _flat(key))
        is_aside = await asyncio.to_thread(_moved, path, aside)
        try:
            failpoint("blob.set_aside")
            may_go = await allowed()
        finally:
            if is_aside and not may_go:
                _put_back(aside, path)
            aside.unlink(missing_ok=True)
        return may_go

    async def stored(self, prefix: str) -> AsyncIterator[StoredBlob]:
        for blob in await asyncio.to_thread(self._listed, checked_key(prefix)):
            yield blob

    async def upload_link(
        self,
        key: str,  # noqa: ARG002 - a folder has no links
        *,
        length: int,  # noqa: ARG002
        digest: str,  # noqa: ARG002
        valid_for: timedelta,  # noqa: ARG002
    ) -> SignedLink | None:
        return None

    async def download_link(
        self,
        key: str,  # noqa: ARG002
        *,
        name: str,  # noqa: ARG002
        media_type: str,  # noqa: ARG002
        valid_for: timedelta,  # noqa: ARG002
    ) -> SignedLink | None:
        return None

    async def check(self) -> None:
        if not await asyncio.to_thread(os.access, self._staging, os.W_OK):
            raise BlobUnavailable("the artifact folder cannot be written")

    async def probe(self) -> None:
        key = f"probe/{new_id()}"
        try:
            with staged_file(self._staging) as (file, path):
                file.write(_PROBE)
                file.flush()
                await self.adopt(key, path)
            read = b"".join([chunk async for chunk in self.stream(key)])
            await self.delete(key)
        except OSError as error:
            raise BlobUnavailable(f"the artifact folder cannot be used ({error.strerror})") from error
        if read != _PROBE or await self.size(key) is not None:
            raise BlobUnavailable("the artifact folder does not give back what it was given")

    async def aclose(self) -> None:
        pass

    def _path(self, key: str) -> Path:
        head, _, last = checked_key(key).rpartition("/")
        return self._folder.joinpath("blobs", *head.split("/"), last[:2], last)

    def _size(self, key: str) -> int | None:
        path = self._path(key)
        size = _size(path)
        if size is not None:
            return size
        self._put_all_back(_flat(key))
        return _size(path)

    def _opened(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            self._put_all_back(_flat(key))
        return self._path(key).open("rb")

    def _put_all_back(self, flat_key: str) -> None:
        """Whatever was left aside of this key; `*` stands for any."""
        for aside in self._aside.glob(f"{flat_key}.*"):
            _put_back(aside, self._path(aside.name.partition(".")[0].replace("!", "/")))
            aside.unlink(missing_ok=True)

    def _listed(self, prefix: str) -> list[StoredBlob]:
        self._put_all_back("*")
        top = self._folder / "blobs"
        found = []
        for path in sorted(top.joinpath(*prefix.split("/")).rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                told = path.stat()
                if stat.S_ISREG(told.st_mode):
                    *head, _fan, last = path.relative_to(top).parts
                    moment = datetime.fromtimestamp(told.st_mtime, UTC)
                    found.append(StoredBlob("/".join([*head, last]), told.st_size, moment))
        return found

    def _adopt(self, target: Path, path: Path) -> None:
        if target.exists():
            path.unlink()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parent != self._staging:
            path = Path(shutil.move(path, self._staging / f"{os.getpid()}-{path.name}"))
        with path.open("rb") as file:
            os.fsync(file.fileno())
        failpoint("blob.flushed")
        path.replace(target)
        failpoint("blob.named")
        flush_folder(target.parent)


def _moved(path: Path, target: Path) -> bool:
    """False if there is nothing."""
    try:
        path.replace(target)
    except FileNotFoundError:
        return False
    return True


def _flat(key: str) -> str:
    """As the name of a file."""
    return checked_key(key).replace("/", "!")


def _put_back(aside: Path, path: Path) -> None:
    """Unless the same bytes came, or were put back, meanwhile."""
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        path.hardlink_to(aside)
        flush_folder(path.parent)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
