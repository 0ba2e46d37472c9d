"""What uploads and links must never do, whoever sends or follows them."""

import io
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from cloud.clients.blob import artifact_key
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.files import digest_bytes
from tests.cloud.api import BASE, Api, Client, picture


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.html", "<script>")
    return file.getvalue()


def _saved(format: str, size: tuple[int, int] = (32, 24), **more: object) -> bytes:  # noqa: A002
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, format, **more)  # type: ignore[arg-type]
    return file.getvalue()


def _frames(count: int) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (2, 2), (number % 256, number // 256, 9)) for number in range(count)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(width: int, height: int, rows: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


REFUSED = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "pdf": b"%PDF-1.7\n%%EOF",
    "postscript": b"%!PS-Adobe-3.0\n",
    "html": b"<html><script>alert(1)</script>",
    "script": b"#!/bin/sh\nrm -rf /\n",
    "archive": _archive(),
    "gif and archive": _saved("GIF") + _archive(),
    "jpeg and archive": _saved("JPEG") + _archive(),
    "jpeg with a pdf in its comment": _saved("JPEG", comment=b"%PDF-1.7 1 0 obj"),
    "png and html": picture() + b"<html><script>alert(1)</script>",
    "webp and text": _saved("WEBP") + b"<?php",
    "two pictures": picture() + picture(),
    "more pixels than are there": _png_of(30_000, 30_000, b""),
    "pixels that were packed small": _png_of(9000, 9000, bytes(9000 * 27_001)),
    "empty header": _png_of(0, 0, b""),
    "too many frames": _frames(2000),
    "half a picture": picture(format="JPEG")[:400],
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in REFUSED.items()])
async def test_nothing_but_whole_single_pictures_is_taken(client: Client, data: bytes) -> None:
    artifact = await client.upload(data)
    assert artifact["state"] == "refused"
    assert artifact["download"] is None
    assert await client.context.blobs.size(artifact_key(client.account_id, digest_bytes(data))) is None


async def _endless(sent: list[int]) -> AsyncIterator[bytes]:
    for _ in range(10_000):
        sent.append(1)
        yield bytes(64 * 1024)


async def test_upload_that_does_not_end_is_stopped_while_it_comes(client: Client) -> None:
    """Chunked, so that no length is told."""
    link = (await client.announce(picture()))["upload"]
    sent: list[int] = []
    answer = await client.http.put(link["url"], content=_endless(sent))
    assert answer.status_code == 413
    assert len(sent) < 100


async def test_plan_limits_the_size_before_anything_is_sent(api: Api) -> None:
    client = await api.client()
    await api.context.database.write(lambda unit: unit.accounts.set_plan(client.account_id, Plan.FREE))
    most = entitlements_of(Plan.FREE).max_upload_bytes
    for size, status in ((most, 200), (most + 1, 413)):
        body = {"digest": digest_bytes(str(size).encode()), "bytes": size}
        assert (await client.call("POST", "/artifacts", json=body)).status_code == status


async def test_same_bytes_are_stored_once_for_an_account_and_apart_for_each(api: Api, client: Client) -> None:
    data = picture()
    await client.upload(data)
    known = await client.announce(data)
    assert (known["state"], known["upload"]) == ("ready", None)

    other = await api.client("b@example.com")
    assert (await other.announce(data))["state"] == "wanted"
    await other.upload(data)
    keys = {blob.key async for blob in client.context.blobs.stored("artifacts")}
    assert keys == {artifact_key(one.account_id, digest_bytes(data)) for one in (client, other)}


async def test_nothing_tells_that_another_account_has_the_bytes(api: Api, client: Client) -> None:
    """What is asked of a known picture is answered as for one that nobody has."""
    known, unknown = picture(), picture("blue")
    await client.upload(known)
    other = await api.client("b@example.com")
    answers = []
    for data in (known, unknown):
        digest = digest_bytes(data)
        job = {"preset": "noir", "inputs": {"photo": [{"digest": digest, "name": "a.png"}]}}
        told = [
            await other.call("GET", f"/artifacts/{digest}"),
            await other.call("POST", f"/artifacts/{digest}/complete"),
            await other.call("POST", f"/artifacts/{digest}/shares", json={}),
            await other.submit(job),
            await other.call("POST", "/artifacts", json={"digest": digest, "bytes": len(data)}),
        ]
        answers.append([(answer.status_code, _shape(answer.json(), digest)) for answer in told])
    assert answers[0] == answers[1]


def _shape(body: object, digest: str) -> object:
    """Without what differs from request to request."""
    match body:
        case dict():
            changing = {"request_id", "url", "created_at", "expires_at", "bytes"}
            return {key: _shape(value, digest) for key, value in body.items() if key not in changing}
        case str():
            return body.replace(digest, "…")
        case _:
            return body


async def test_links_live_a_quarter_of_an_hour_at_most(client: Client) -> None:
    data = picture()
    link = (await client.announce(data))["upload"]
    download = (await client.upload(data))["download"]
    for until in (link["expires_at"], download["expires_at"]):
        left = datetime.fromisoformat(until) - datetime.now(UTC)
        assert timedelta(0) < left <= timedelta(minutes=15)


async def test_link_is_for_one_method_and_one_artifact(client: Client) -> None:
    data, other = picture(), picture("blue")
    upload = (await client.announce(other))["upload"]["url"]
    download = (await client.upload(data))["download"]["url"]
    for method in ("POST", "DELETE", "PATCH", "GET"):
        assert (await client.http.request(method, upload)).status_code == 405
    for method in ("POST", "DELETE", "PATCH", "PUT"):
        assert (await client.http.request(method, download)).status_code == 405
    assert (await client.http.put(upload, content=data)).status_code in {413, 422}


async def test_parts_of_a_download(client: Client) -> None:
    data = picture()
    url = (await client.upload(data))["download"]["url"]
    part = await client.http.get(url, headers={"Range": "bytes=-7"})
    assert (part.status_code, part.content) == (206, data[-7:])
    head = await client.http.head(url)
    assert (head.headers["Content-Length"], head.headers["ETag"]) == (
        str(len(data)),
        f'"{digest_bytes(data)}"',
    )
    changed = await client.http.get(url, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, data)


@pytest.mark.parametrize("name", ["../../etc/passwd", 'a";filename="x.html', "ünïcode 😀", "CON", "a/b\\c"])
async def test_names_of_files_are_no_paths_and_break_no_header(client: Client, name: str) -> None:
    await client.upload(picture())
    digest = digest_bytes(picture())
    answer = await client.call("POST", f"/artifacts/{digest}/shares", json={"name": name})
    shown = await client.http.get(answer.json()["url"])
    disposition = shown.headers["Content-Disposition"]
    assert disposition.startswith("attachment; filename*=UTF-8''")
    assert not set('";/\\\r\n') & set(disposition.partition("''")[2])
    assert disposition.endswith(".png")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"


async def test_names_that_would_break_a_line_are_refused(client: Client) -> None:
    await client.upload(picture())
    for name in ("a\r\nX-Evil: 1", "a\x00b", "", "x" * 201):
        answer = await client.call(
            "POST", f"/artifacts/{digest_bytes(picture())}/shares", json={"name": name}
        )
        assert answer.status_code == 422


async def test_links_are_not_logged(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    data = picture()
    upload = (await client.announce(data))["upload"]["url"]
    artifact = await client.upload(data)
    shared = (await client.call("POST", f"/artifacts/{digest_bytes(data)}/shares", json={})).json()["url"]
    urls = [upload, artifact["download"]["url"], shared]
    for url in urls:
        await client.http.get(url)
        await client.http.get(f"{url}x")
    told = capsys.readouterr()
    assert "request" in told.out
    for url in urls:
        token = url.rpartition("/")[2]
        assert token[:40] not in told.out + told.err


async def test_input_of_another_account_cannot_be_worked_on(api: Api, client: Client) -> None:
    await client.upload(picture())
    other = await api.client("b@example.com")
    for digest in (digest_bytes(picture()), "../" + "0" * 61, "A" * 64):
        job = {"preset": "noir", "inputs": {"photo": [{"digest": digest, "name": "a.png [output]"}]}}
        answer = await other.submit(job)
        assert answer.status_code == 422
        assert BASE not in answer.text
