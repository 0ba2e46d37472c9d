"""What every blob store promises."""

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
    assert list(store.staging_folder.iterdir()) == []
    assert await store.delete_if("other", allowed) is answer


async def test_bytes_that_come_while_it_is_asked_are_kept(store: BlobStore) -> None:
    await _put(store, "key", b"abc")

    async def allowed() -> bool:
        await _put(store, "key", b"abc")
        return False

    assert await store.delete_if("key", allowed) is False
    assert await _read(store, "key") == b"abc"
    assert list(store.staging_folder.iterdir()) == []


async def test_bytes_stay_where_nobody_can_say_whether_they_may_go(store: BlobStore) -> None:
    await _put(store, "key", b"abc")

    async def allowed() -> bool:
        raise DatabaseBusy("not now")

    with pytest.raises(DatabaseBusy):
        await store.delete_if("key", allowed)
    assert await _read(store, "key") == b"abc"


@pytest.mark.parametrize("key", ["", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "A", "a.b", "a\\b"])
async def test_no_key_leads_out_of_the_store(store: BlobStore, key: str) -> None:
    with pytest.raises(FatalError):
        await store.size(key)
