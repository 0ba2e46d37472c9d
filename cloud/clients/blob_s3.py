"""Blobs in a store that speaks S3.

Whatever fails is tried again under the same key, and believed only once the store says that it
has these bytes: an answer that got lost is no failure, and no half of a file is ever visible.
"""

import asyncio
import base64
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, stop_any
from tenacity.wait import wait_random_exponential

from cloud.clients.blob import BlobMissing, BlobUnavailable, SignedLink, StoredBlob, checked_key
from cloud.clients.s3_place import S3Place
from cloud.clients.s3_signing import S3Keys, signed_url
from shared.errors import FatalError
from shared.failpoints import failpoint
from shared.files import digest_bytes, digest_file, staged_file
from shared.ids import new_id

__all__ = ["S3BlobStore"]

_T = TypeVar("_T")
_MISSING = (FileNotFoundError, NotFoundError)
_TROUBLE = (BaseError, OSError)
_TRIES = 5
_PART_BYTES = 16 << 20  # larger files go in parts of this size
_PARTS_AT_ONCE = 3
_PART_WITHIN = timedelta(seconds=20)
_SLOWEST_BYTES_PER_S = 2 << 20  # of what is sent to the store: slower is taken for trouble
_CHUNK_BYTES = 256 * 1024
_LONGEST_REQUEST = timedelta(minutes=10)
_DIGEST = "sha256"  # the name of what we note beside each object
_UNTYPED = "application/octet-stream"
_PROBE_BYTES = b"safelight"
_LINK_TIMEOUT_S = 10.0


class S3BlobStore:
    """`answer_within` is how long the store may keep silent before a request is tried again, `patience` how
    long whoever waits for it is kept waiting by tries that came to nothing; `deletes_within` how long after
    its signature the store takes a request to delete what may come anew."""

    def __init__(
        self,
        *,
        place: S3Place,
        keys: S3Keys,
        staging_folder: Path,
        answer_within: timedelta = timedelta(seconds=5),
        patience: timedelta = timedelta(seconds=12),
        longest_pause_s: float = 2.0,
        deletes_within: timedelta = timedelta(seconds=30),
    ) -> None:
        self._answer_within = answer_within
        self._patience_s = patience.total_seconds()
        self._deletes_within = deletes_within
        self._place = place
        self._keys = keys
        self._staging = staging_folder
        self._staging.mkdir(parents=True, exist_ok=True)
        self._longest_pause_s = longest_pause_s
        self._store = self._opened(answer_within)
        self._slow_store = self._opened(max(answer_within, _PART_WITHIN))

    @property
    def staging_folder(self) -> Path:
        return self._staging

    async def adopt(self, key: str, path: Path) -> None:
        checked_key(key)
        digest, size = await asyncio.to_thread(lambda: (digest_file(path), path.stat().st_size))
        async with _within(self._patience_s + size / _SLOWEST_BYTES_PER_S):
            if await self.size(key) is None:
                await self._again(lambda: self._put(key, path, size, digest))
        await asyncio.to_thread(path.unlink)

    async def size(self, key: str) -> int | None:
        async with _within(self._patience_s):
            head = await self._again(lambda: self._head(key))
        return None if head is None else head[0]

    @contextlib.asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        checked_key(key)
        with staged_file(self._staging) as (file, path):
            await self._again(lambda: self._fetch(key, path))
            file.flush()
            yield path

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """A stream that breaks goes on from where it broke."""
        at = start
        for attempt in range(1, _TRIES + 1):
            try:
                async for chunk in self._chunks(key, at, end):
                    at += len(chunk)
                    yield chunk
            except BlobUnavailable:
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(random.uniform(0, min(0.1 * 2**attempt, self._longest_pause_s)))
            else:
                return

    async def delete(self, key: str) -> None:
        async def delete() -> None:
            with contextlib.suppress(*_MISSING):
                await obstore.delete_async(self._store, checked_key(key))

        await self._again(delete)

    async def delete_if(self, key: str, allowed: Callable[[], Awaitable[bool]]) -> bool:
        """The request is signed before it is asked whether it may be sent, and the store takes it for so
        long only. Raises BlobUnavailable, also where it came too late."""
        inside = replace(self._place, public_endpoint=self._place.endpoint)
        keys = await asyncio.to_thread(self._keys.frozen)
        url = signed_url(inside, keys, "DELETE", checked_key(key), valid_for=self._deletes_within)
        if not await allowed():
            return False

        async def delete() -> None:
            try:
                async with httpx.AsyncClient(timeout=self._answer_within.total_seconds()) as client:
                    answer = await client.delete(url)
            except httpx.HTTPError as error:
                raise _unavailable(error) from error
            if answer.is_error and answer.status_code != HTTPStatus.NOT_FOUND:
                raise BlobUnavailable(f"the artifact store did not delete ({answer.status_code})")

        await self._again(delete)
        return True

    async def stored(self, prefix: str) -> AsyncIterator[StoredBlob]:
        listing = obstore.list(self._slow_store, checked_key(prefix), chunk_size=1000)
        while True:
            try:
                found = await anext(listing, None)
            except _TROUBLE as error:
                raise _unavailable(error) from error
            if found is None:
                return
            for meta in found:
                yield StoredBlob(meta["path"], meta["size"], meta["last_modified"])

    async def upload_link(self, key: str, *, length: int, digest: str, valid_for: timedelta) -> SignedLink:
        """The store itself refuses other bytes: their number and their SHA-256 are signed."""
        headers = {
            "content-length": str(length),
            "content-type": _UNTYPED,
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(digest)).decode("ascii"),
        }
        url = await self._signed("PUT", key, valid_for, headers=headers)
        return SignedLink(url, tuple(headers.items()))

    async def download_link(
        self, key: str, *, name: str, media_type: str, valid_for: timedelta
    ) -> SignedLink:
        query = {
            "response-content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "response-content-type": media_type,
        }
        return SignedLink(await self._signed("GET", key, valid_for, query=query))

    async def check(self) -> None:
        try:
            await self._head("probe")
        except _TROUBLE as error:
            raise _unavailable(error) from error

    async def probe(self) -> None:
        key = f"probe/{new_id()}"
        with staged_file(self._staging) as (file, path):
            file.write(_PROBE_BYTES)
            file.flush()
            await self.adopt(key, path)
        read = b"".join([chunk async for chunk in self.stream(key)])
        await self.delete(key)
        if read != _PROBE_BYTES or await self.size(key) is not None:
            raise BlobUnavailable("the store does not give back what it was given, or does not delete it")
        await self._probe_links(f"{key}-sent")

    async def _probe_links(self, key: str) -> None:
        """A store that ignores a signed SHA-256 would let clients replace what was checked."""
        other, digest = bytes(len(_PROBE_BYTES)), digest_bytes(_PROBE_BYTES)
        link = await self.upload_link(key, length=len(other), digest=digest, valid_for=timedelta(minutes=1))
        try:
            async with httpx.AsyncClient(timeout=_LINK_TIMEOUT_S) as client:
                answer = await client.put(link.url, headers=dict(link.headers), content=other)
        except httpx.HTTPError as error:
            raise BlobUnavailable(
                "the store does not answer under the address that clients are given; "
                "set public_endpoint in SAFELIGHT_STORAGE_URL"
            ) from error
        await self.delete(key)
        if answer.status_code < 400:
            raise BlobUnavailable("the store takes other bytes than a signed link names, which is not safe")

    async def aclose(self) -> None:
        pass

    def _opened(self, read_timeout: timedelta) -> S3Store:
        """`read_timeout` begins with the request: what is sent must be there by then."""
        place = self._place
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config={
                "region": place.region,
                "endpoint": place.endpoint,
                "virtual_hosted_style_request": False,
                "checksum_algorithm": "SHA256",
            },
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "connect_timeout": self._answer_within,
                "read_timeout": read_timeout,
                "timeout": _LONGEST_REQUEST,
            },
            retry_config={"max_retries": 0},
            credential_provider=self._keys.for_obstore,
        )

    async def _put(self, key: str, path: Path, size: int, digest: str) -> None:
        """Once; an error is one only if the bytes are not there afterwards."""
        try:
            await self._send(key, path, size, digest)
            failpoint("blob.sent")
        except AlreadyExistsError:
            return
        except _TROUBLE:
            if await self._head(key) == (size, digest):
                return
            raise
        if await self._head(key) != (size, digest):
            raise BlobUnavailable("the store does not have the bytes that it said it took")

    async def _send(self, key: str, path: Path, size: int, digest: str) -> None:
        noted = {"Content-Type": _UNTYPED, _DIGEST: digest}
        if size > _PART_BYTES:
            await obstore.put_async(
                self._slow_store,
                key,
                path,
                attributes=noted,
                use_multipart=True,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        else:
            data = await asyncio.to_thread(path.read_bytes)
            if digest_bytes(data) != digest:
                raise FatalError("a file changed while it was being stored", key=key)
            async with asyncio.timeout(self._answer_within.total_seconds() + size / _SLOWEST_BYTES_PER_S):
                await obstore.put_async(self._slow_store, key, data, attributes=noted, mode="create")

    async def _head(self, key: str) -> tuple[int, str | None] | None:
        """Size and noted digest; direct uploads have none noted."""
        try:
            found = await obstore.get_async(self._store, checked_key(key), options={"head": True})
        except _MISSING:
            return None
        return found.meta["size"], found.attributes.get(_DIGEST)

    async def _fetch(self, key: str, path: Path) -> None:
        with path.open("wb") as file:
            async for chunk in self._chunks(key, 0, None):
                await asyncio.to_thread(file.write, chunk)

    async def _chunks(self, key: str, start: int, end: int | None) -> AsyncIterator[bytes]:
        """Raises BlobMissing, BlobUnavailable."""
        try:
            found = await self._got(checked_key(key), start, end)
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)
        except _MISSING as error:
            raise BlobMissing("these bytes are not stored", key=key) from error
        except _TROUBLE as error:
            raise _unavailable(error) from error

    async def _got(self, key: str, start: int, end: int | None) -> "obstore.GetResult":
        if end is not None:
            return await obstore.get_async(self._store, key, options={"range": (start, end)})
        if start:
            return await obstore.get_async(self._store, key, options={"range": {"offset": start}})
        return await obstore.get_async(self._store, key)

    async def _signed(self, method: str, key: str, valid_for: timedelta, **more: dict[str, str]) -> str:
        keys = await asyncio.to_thread(self._keys.frozen)
        return signed_url(self._place, keys, method, checked_key(key), valid_for=valid_for, **more)

    async def _again(self, once: Callable[[], Awaitable[_T]]) -> _T:
        """Raises BlobUnavailable after some tries."""
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((*_TROUBLE, BlobUnavailable)),
                stop=stop_any(stop_after_attempt(_TRIES), stop_after_delay(self._patience_s)),
                wait=wait_random_exponential(multiplier=0.1, max=self._longest_pause_s),
                reraise=True,
            ):
                with attempt:
                    return await once()
        except _TROUBLE as error:
            raise _unavailable(error) from error
        raise AssertionError("a retry either returns or raises")


@contextlib.asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    """Raises BlobUnavailable if the block takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> BlobUnavailable:
    """What the store said may name hosts and keys: it stays among the causes."""
    return BlobUnavailable(f"the artifact store cannot be used just now ({type(error).__name__})")
