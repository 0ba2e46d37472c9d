"""What every blob store promises."""

from pathlib import Path

import pytest

from cloud.clients.blob import BlobMissing, BlobStore, LocalBlobStore
from shared.errors import FatalError
from shared.files import digest_bytes, staged_file

DATA = bytes(range(256)) * 4096


@pytest.fixture(params=["local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return LocalBlobStore(folder=tmp_path / "store")


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


async def test_deleted_bytes_are_gone(store: BlobStore) -> None:
    await _put(store, "key", b"abc")
    await store.delete("key")
    assert await store.size("key") is None


@pytest.mark.parametrize("key", ["", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "A", "a.b", "a\\b"])
async def test_no_key_leads_out_of_the_store(store: BlobStore, key: str) -> None:
    with pytest.raises(FatalError):
        await store.size(key)
