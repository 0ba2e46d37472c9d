import errno
import hashlib
import io
import tempfile
import zipfile

import pytest
from PIL import Image
from sqlalchemy import text

from cloud.clients.blob import artifact_key
from cloud.errors import BeingDeleted
from shared.files import digest_bytes
from tests.cloud.api import Api, Client, picture


async def test_picture_is_announced_sent_checked_and_fetched(client: Client) -> None:
    data = picture()
    announced = await client.announce(data)
    assert (announced["state"], announced["download"]) == ("wanted", None)
    artifact = await client.upload(data)

    assert (artifact["state"], artifact["media_type"]) == ("ready", "image/png")
    assert (artifact["width"], artifact["height"], artifact["bytes"]) == (32, 24, len(data))
    fetched = await client.http.get(artifact["download"]["url"])
    assert fetched.content == data
    assert fetched.headers["Content-Type"] == "image/png"
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    assert fetched.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
    known = await client.announce(data)
    assert (known["state"], known["upload"]) == ("ready", None)


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.html", "<script>")
    return file.getvalue()


def _bomb() -> bytes:
    """Few bytes, many pixels."""
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    return file.getvalue()


BAD = {
    "html": (b"<!doctype html><script>alert(1)</script>", "unsupported_media"),
    "truncated": (picture(format="JPEG")[:-300], "broken_media"),
    "png and zip": (picture() + _archive(), "polyglot"),
    "jpeg and text": (picture(format="JPEG") + b"<?php system($_GET[0]);", "polyglot"),
    "too many pixels": (_bomb(), "media_too_large"),
}


async def test_small_picture_is_sent_and_checked_in_one_request(client: Client) -> None:
    data = picture()
    for artifact in (await client.send(data), await client.send(data)):  # doing it again is no error
        assert (artifact["state"], artifact["media_type"]) == ("ready", "image/png")
        assert (artifact["width"], artifact["height"], artifact["bytes"]) == (32, 24, len(data))
    known = await client.announce(data)
    assert known["state"] == "ready"
    assert (await client.http.get(known["download"]["url"])).content == data


async def test_machine_without_room_asks_for_patience(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_arguments: object, **_more: object) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, "no space left on device")

    data = picture()
    with monkeypatch.context() as full:
        full.setattr(tempfile, "mkstemp", made)
        refused = await client.call("PUT", f"/artifacts/{digest_bytes(data)}", content=data)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "machine_exhausted")
    assert "Retry-After" in refused.headers
    assert (await client.call("PUT", f"/artifacts/{digest_bytes(data)}", content=data)).status_code < 300


async def test_nothing_is_stored_beside_the_deletion_of_the_same_bytes(client: Client) -> None:
    data = picture()
    path, key = f"/artifacts/{digest_bytes(data)}", artifact_key(client.account_id, digest_bytes(data))
    await client.announce(data)
    deleting = text("UPDATE artifacts SET deleting_at = created_at")
    await client.context.database.write(lambda unit: unit.connection.execute(deleting).rowcount)

    answer = await client.call("PUT", path, content=data)

    assert answer.json()["error"]["code"] == BeingDeleted.code
    assert await client.context.blobs.size(key) is None


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in BAD.items()])
async def test_what_is_no_whole_picture_is_refused(
    client: Client, data: tuple[bytes, str], at_once: bool
) -> None:
    content, code = data
    artifact = await (client.send(content) if at_once else client.upload(content))

    assert (artifact["state"], artifact["problem"]["code"]) == ("refused", code)
    assert artifact["download"] is None
    body = {"preset": "noir", "inputs": {"photo": [{"digest": digest_bytes(content), "name": "a.png"}]}}
    assert (await client.submit(body)).json()["error"]["code"] == "input_not_ready"
    key = artifact_key(client.account_id, digest_bytes(content))
    assert await client.context.blobs.size(key) is None
    assert (await client.announce(content))["state"] == "wanted"  # it may be sent again


async def test_multi_picture_jpeg_of_a_camera_is_taken(client: Client) -> None:
    file = io.BytesIO()
    preview = Image.new("RGB", (8, 8), "blue")
    Image.new("RGB", (64, 48), "red").save(file, "MPO", save_all=True, append_images=[preview])

    artifact = await client.upload(file.getvalue() + b"\0" * 512)

    assert (artifact["state"], artifact["media_type"], artifact["width"]) == ("ready", "image/jpeg", 64)


@pytest.mark.parametrize("sent", [b"", b"short", b"x" * 100_000])
async def test_other_bytes_than_announced_are_not_kept(client: Client, sent: bytes) -> None:
    data = picture()
    link = (await client.announce(data))["upload"]

    for body in (sent, _chunks(sent)):
        answer = await client.http.put(link["url"], content=body)
        assert answer.status_code in {413, 422}, answer.text

    done = await client.call("POST", f"/artifacts/{digest_bytes(data)}/complete")
    assert (done.status_code, done.json()["error"]["code"]) == (409, "conflict")


async def test_same_length_but_other_bytes_are_refused(client: Client) -> None:
    data = picture()
    link = (await client.announce(data))["upload"]
    answer = await client.http.put(link["url"], content=bytes(len(data)))
    assert (answer.status_code, answer.json()["error"]["details"]) == (422, {"field": "digest"})


@pytest.mark.parametrize("sent", [b"", b"short", bytes(len(picture()))])
async def test_other_bytes_than_the_address_says_are_not_kept(client: Client, sent: bytes) -> None:
    digest = digest_bytes(picture())
    length = {"Content-Length": str(len(picture()))}

    for headers in ({}, length):
        answer = await client.call("PUT", f"/artifacts/{digest}", content=sent, headers=headers)
        assert answer.status_code == 422, answer.text
    assert (await client.call("GET", f"/artifacts/{digest}")).status_code == 404
    assert await client.context.blobs.size(artifact_key(client.account_id, digest)) is None


async def test_bytes_without_a_length_are_not_taken(client: Client) -> None:
    path = f"/artifacts/{digest_bytes(picture())}"
    answer = await client.call("PUT", path, content=_chunks(picture()))
    assert (answer.status_code, answer.json()["error"]["details"]) == (422, {"field": "Content-Length"})


async def test_file_above_the_limit_is_refused_before_it_is_sent(client: Client) -> None:
    body = {"digest": "0" * 64, "bytes": 2**35}
    answer = await client.call("POST", "/artifacts", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    path, headers = f"/artifacts/{'0' * 64}", {"Content-Length": str(2**35)}
    answer = await client.call("PUT", path, content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_links_are_for_one_thing_and_ours_alone(client: Client) -> None:
    data = picture()
    upload = (await client.announce(data))["upload"]["url"]
    download = (await client.upload(data))["download"]["url"]
    swapped = download.replace("/downloads/", "/uploads/"), upload.replace("/uploads/", "/downloads/")
    forged = download[:-3] + ("AAA" if not download.endswith("AAA") else "BBB")

    assert (await client.http.put(swapped[0], content=data)).status_code == 403
    for url in (swapped[1], forged, download.rpartition("/")[0] + "/x", download.rpartition(".")[0]):
        answer = await client.http.get(url)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "link_expired")


async def test_bytes_of_one_account_are_unknown_to_another(api: Api, client: Client) -> None:
    data = picture()
    await client.upload(data)
    other = await api.client("b@example.com")

    digest = hashlib.sha256(data).hexdigest()
    assert (await other.call("GET", f"/artifacts/{digest}")).status_code == 404
    assert (await other.announce(data))["state"] == "wanted"


async def _chunks(data: bytes):  # type: ignore[no-untyped-def]
    yield data
