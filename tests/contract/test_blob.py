"""What every blob store promises."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.clients.blob import BlobMissing, BlobStore, LocalBlobStore
from cloud.errors import DatabaseBusy
from shared.errors import FatalError
from shared.files import digest_bytes, staged_file
from tests.support.s3_server import S3Server
from tests.support.s3_store import open_s3

DATA = bytes(range(256)) * 4096


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "local":
        return LocalBlobStore(folder=tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_server")
    return open_s3(server, tmp_path)


async def _read(store: BlobStore, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.stream(key, start=start, end=end)])


async def _put(store: BlobStore, key: str, data: bytes) -> Path:
    with staged_file(store.staging_folder) as (file, path):
        file.write(data)
        file.flush()
        await store.adopt(key, path)
        return path


def _left_behind(store: BlobStore) -> list[Path]:
    """On its way into the store, or out of it."""
    return [*store.staging_folder.iterdir(), *store.staging_folder.parent.glob("aside/*")]


async def test_what_was_adopted_is_there(store: BlobStore) -> None:
    key = f"artifacts/{digest_bytes(DATA)}"
    assert await store.size(key) is None
    path = await _put(store, key, DATA)
    assert not path.exists()
    assert await store.size(key) == len(DATA)
    assert b"".join([chunk async for chunk in store.stream(key)]) == DATA
    async with store.as_file(key) as file:
        assert file.read_bytes() == DATA


async def test_a_file_from_elsewhere_is_adopted_too(store: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.png"
    path.write_bytes(b"abc")
    await store.adopt("abc", path)
    assert not path.exists()
    assert await store.size("abc") == 3


async def test_the_bytes_under_a_key_never_change(store: BlobStore) -> None:
    await _put(store, "key", b"first")
    await _put(store, "key", b"second")
    assert b"".join([chunk async for chunk in store.stream("key")]) == b"first"


async def test_missing_bytes_are_said_to_be_missing(store: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        async with store.as_file("nothing"):
            pass
    with pytest.raises(BlobMissing):
        async for _ in store.stream("nothing"):
            pass
    await store.delete("nothing")


async def test_a_part_of_the_bytes_can_be_had(store: BlobStore) -> None:
    await _put(store, "key", DATA)
    assert await _read(store, "key", start=1_000_000) == DATA[1_000_000:]
    assert await _read(store, "key", start=1000, end=300_000) == DATA[1000:300_000]


async def test_what_is_stored_is_listed_by_prefix(store: BlobStore) -> None:
    for key in ("artifacts/a/one", "artifacts/a/two", "artifacts/ab/three", "other/four"):
        await _put(store, key, key.encode())
    found = [blob async for blob in store.stored("artifacts/a")]
    assert {(blob.key, blob.bytes) for blob in found} == {("artifacts/a/one", 15), ("artifacts/a/two", 15)}
    assert all(abs(datetime.now(UTC) - blob.modified_at) < timedelta(minutes=1) for blob in found)
    assert [blob async for blob in store.stored("nothing")] == []


async def test_a_store_that_works_passes_its_probe(store: BlobStore) -> None:
    await store.check()
    await store.probe()
    assert [blob async for blob in store.stored("probe")] == []


async def test_deleted_bytes_are_gone(store: BlobStore) -> None:
    await _put(store, "key", b"abc")
    await store.delete("key")
    assert await store.size("key") is None


@pytest.mark.parametrize("answer", [True, False])
async def test_bytes_go_only_if_they_may_to_the_last(store: BlobStore, answer: bool) -> None:
    await _put(store, "key", b"abc")

    async def allowed() -> bool:
        return answer

    assert await store.delete_if("key", allowed) is answer
    assert await store.size("key") == (None if answer else 3)
    assert _left_behind(store) == []
    assert await store.delete_if("other", allowed) is answer


async def test_bytes_that_come_while_it_is_asked_are_kept(store: BlobStore) -> None:
    await _put(store, "key", b"abc")

    async def allowed() -> bool:
        await _put(store, "key", b"abc")
        return False

    assert await store.delete_if("key", allowed) is False
    assert await _read(store, "key") == b"abc"
    assert _left_behind(store) == []


async def test_bytes_stay_where_nobody_can_say_whether_they_may_go(store: BlobStore) -> None:
    await _put(store, "key", b"abc")

    async def allowed() -> bool:
        raise DatabaseBusy("not now")

    with pytest.raises(DatabaseBusy):
        await store.delete_if("key", allowed)
    assert await _read(store, "key") == b"abc"


_DYING = """
import asyncio, sys
from pathlib import Path
from cloud.clients.blob import LocalBlobStore

async def allowed() -> bool:
    raise AssertionError("it was to die before")

asyncio.run(LocalBlobStore(folder=Path(sys.argv[1])).delete_if(sys.argv[2], allowed))
"""


async def _set_aside(folder: Path, key: str) -> LocalBlobStore:
    """By a process that died then."""
    store = LocalBlobStore(folder=folder)
    await _put(store, key, b"abc")
    environment = {**os.environ, "FAILPOINT": "blob.set_aside:kill"}
    words = (sys.executable, "-c", _DYING, str(folder), key)
    dying = await asyncio.create_subprocess_exec(*words, env=environment)
    assert await dying.wait() == -signal.SIGKILL
    assert list((folder / "blobs").rglob("key")) == []
    return store


async def test_bytes_that_a_dead_process_set_aside_can_be_deleted_by_another(tmp_path: Path) -> None:
    store = await _set_aside(tmp_path, "artifacts/a/key")

    async def allowed() -> bool:
        return True

    assert await store.delete_if("artifacts/a/key", allowed)
    assert _left_behind(store) == []
    assert await store.size("artifacts/a/key") is None


@pytest.mark.parametrize("asks", ["size", "file", "stream", "list"])
async def test_bytes_that_a_dead_process_set_aside_are_there_when_they_are_asked_for(
    tmp_path: Path, asks: str
) -> None:
    """They may have come anew after it was told that they go, and while it stood still."""
    key = "artifacts/a/key"
    store = await _set_aside(tmp_path, key)
    match asks:
        case "size":
            assert await store.size(key) == 3
        case "file":
            async with store.as_file(key) as path:
                assert path.read_bytes() == b"abc"
        case "stream":
            assert await _read(store, key) == b"abc"
        case _:
            assert [blob.key async for blob in store.stored("artifacts")] == [key]
    assert await _read(store, key) == b"abc"
    assert _left_behind(store) == []


@pytest.mark.parametrize("key", ["", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "A", "a.b", "a\\b"])
async def test_no_key_leads_out_of_the_store(store: BlobStore, key: str) -> None:
    with pytest.raises(FatalError):
        await store.size(key)
