"""What a store in S3 survives, and what its links allow."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from cloud.clients.blob import BlobMissing, BlobUnavailable, SignedLink
from cloud.clients.blob_s3 import S3BlobStore
from cloud.clients.s3_place import parse_s3_url
from cloud.errors import BadSettings
from shared.files import digest_bytes, staged_file
from tests.support.s3_server import S3Server
from tests.support.s3_store import open_s3

DATA = bytes(range(256)) * 64
DIGEST = digest_bytes(DATA)
KEY = f"artifacts/one/{DIGEST}"
SOON = timedelta(minutes=15)


@pytest.fixture
def store(s3_server: S3Server, tmp_path: Path) -> S3BlobStore:
    return open_s3(s3_server, tmp_path)


async def _put(store: S3BlobStore, data: bytes = DATA, key: str = KEY) -> None:
    with staged_file(store.staging_folder) as (file, path):
        file.write(data)
        file.flush()
        await store.adopt(key, path)


async def _read(store: S3BlobStore, key: str = KEY) -> bytes:
    return b"".join([chunk async for chunk in store.stream(key)])


@pytest.mark.parametrize("kind", ["503", "reset", "lost", "hang"])
async def test_upload_that_fails_is_tried_again(store: S3BlobStore, s3_server: S3Server, kind: str) -> None:
    s3_server.fail(kind, "PUT", times=1 if kind == "hang" else 4)
    await _put(store)
    assert await _read(store) == DATA


async def test_stored_upload_whose_answer_was_lost_is_not_sent_again(
    store: S3BlobStore, s3_server: S3Server
) -> None:
    s3_server.fail("lost", "PUT")
    await _put(store)
    assert s3_server.counts()["PUT"] == 1
    assert await store.size(KEY) == len(DATA)


async def test_store_that_stays_away_is_given_up_after_five_tries_with_nothing_visible(
    store: S3BlobStore, s3_server: S3Server
) -> None:
    s3_server.fail("503", "PUT", times=1000)
    with pytest.raises(BlobUnavailable):
        await _put(store)
    assert s3_server.counts()["PUT"] == 5
    s3_server.behave()
    assert await store.size(KEY) is None
    await _put(store)
    assert await _read(store) == DATA


async def test_large_file_goes_in_parts_and_each_may_fail(store: S3BlobStore, s3_server: S3Server) -> None:
    data = DATA * 1100  # more than one part
    s3_server.fail("503", "PUT", times=1, path="partNumber=2")
    await _put(store, data, "large")
    async with store.as_file("large") as path:
        assert await asyncio.to_thread(path.read_bytes) == data


@pytest.mark.parametrize("kind", ["503", "reset", "cut"])
async def test_download_that_breaks_goes_on(store: S3BlobStore, s3_server: S3Server, kind: str) -> None:
    await _put(store)
    s3_server.fail(kind, "GET", times=1)
    async with store.as_file(KEY) as path:
        assert path.read_bytes() == DATA
    s3_server.fail(kind, "GET", times=1)
    assert await _read(store) == DATA


async def test_store_that_does_not_answer_is_said_to_be_away(store: S3BlobStore, s3_server: S3Server) -> None:
    for method in ("GET", "HEAD"):
        s3_server.fail("503", method, times=1000)
        with pytest.raises(BlobUnavailable):
            await store.check() if method == "HEAD" else await _read(store)
    s3_server.fail("503", "PUT", times=1000)
    with pytest.raises(BlobUnavailable):
        await store.probe()


async def test_wrong_credentials_are_no_missing_blob(s3_server: S3Server, tmp_path: Path) -> None:
    stranger = open_s3(s3_server, tmp_path, secret="another" * 5)
    with pytest.raises(BlobUnavailable) as raised:
        await stranger.size(KEY)
    assert "127.0.0.1" not in raised.value.message


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def _upload_link(store: S3BlobStore, valid_for: timedelta = SOON) -> SignedLink:
    link = await store.upload_link(KEY, length=len(DATA), digest=DIGEST, valid_for=valid_for)
    assert link is not None
    return link


async def _send(http: httpx.AsyncClient, link: SignedLink, **changed: object) -> int:
    asked = {"method": "PUT", "url": link.url, "headers": dict(link.headers), "content": DATA, **changed}
    return (await http.request(**asked)).status_code  # type: ignore[arg-type]


async def test_upload_link_takes_these_bytes_alone(store: S3BlobStore, http: httpx.AsyncClient) -> None:
    link = await _upload_link(store)
    other = dict(link.headers) | {"x-amz-checksum-sha256": "A" * 43 + "="}
    bare = {name: value for name, value in link.headers if not name.startswith("x-amz")}
    refused = [
        await _send(http, link, content=bytes(len(DATA))),
        await _send(http, link, content=DATA[:-1], headers=dict(link.headers) | {"content-length": "16383"}),
        await _send(http, link, headers=other, content=bytes(len(DATA))),
        await _send(http, link, headers=bare),
        await _send(http, link, headers=dict(link.headers) | {"content-type": "text/html"}),
        await _send(http, link, headers=dict(link.headers) | {"x-amz-acl": "public-read"}),
        await _send(http, link, method="DELETE"),
        await _send(http, link, url=link.url.replace(DIGEST, "0" * 64)),
        await _send(http, link, url=link.url[:-4] + "0000"),
        await _send(http, link, url=link.url.partition("?")[0]),
    ]
    assert set(refused) <= {400, 403}
    assert await store.size(KEY) is None
    assert await _send(http, link) == 200
    assert await _read(store) == DATA


async def test_a_process_that_stood_still_deletes_nothing_any_more(
    s3_server: S3Server, tmp_path: Path
) -> None:
    """Between being told that it may and asking the store, for longer than its request is taken."""
    store = open_s3(s3_server, tmp_path, deletes_within=timedelta(seconds=-1))
    await _put(store)

    async def allowed() -> bool:
        return True

    with pytest.raises(BlobUnavailable):
        await store.delete_if(KEY, allowed)
    assert await _read(store) == DATA


async def test_links_end(store: S3BlobStore, http: httpx.AsyncClient) -> None:
    link = await _upload_link(store, valid_for=timedelta(seconds=-1))
    assert await _send(http, link) == 403


async def test_download_link_fixes_how_the_bytes_are_shown(
    store: S3BlobStore, http: httpx.AsyncClient
) -> None:
    await _put(store)
    link = await store.download_link(KEY, name="Ö <b>.png", media_type="image/png", valid_for=SOON)
    assert link is not None
    answer = await http.get(link.url)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%96%20%3Cb%3E.png"
    part = await http.get(link.url, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, DATA[:10])
    for changed in (link.url.replace("image%2Fpng", "text%2Fhtml"), link.url.replace("attachment", "inline")):
        assert changed != link.url
        assert (await http.get(changed)).status_code == 403
    assert (await http.put(link.url, content=b"x")).status_code == 403


async def test_missing_object_is_missing_and_not_away(store: S3BlobStore) -> None:
    with pytest.raises(BlobMissing):
        await _read(store)


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://A",
        "s3://key:secret@bucket/x",
        "s3://bucket/../x",
        "s3://bucket/a//b",
        "s3://bucket?zone=1",
        "s3://bucket?endpoint=ftp://x",
        "s3://bucket?endpoint=http://x/y",
    ],
)
def test_place_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadSettings) as raised:
        parse_s3_url(url)
    assert "SAFELIGHT_STORAGE_URL" in raised.value.message
    assert "secret" not in raised.value.message


def test_place_is_read_from_the_url() -> None:
    place = parse_s3_url("s3://my.bucket/a/b?region=eu-west-1&public_endpoint=https://cdn.example")
    assert place.endpoint == "https://s3.eu-west-1.amazonaws.com"
    assert place.public_url("k/1") == "https://cdn.example/my.bucket/a/b/k/1"
