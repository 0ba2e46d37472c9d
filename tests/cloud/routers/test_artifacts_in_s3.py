"""Artifacts where the bytes go to and come from S3 itself."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud.settings import Settings
from shared.files import digest_bytes
from shared.ids import new_id
from shared.sdk.transport import TIMEOUT
from tests.cloud.api import Api, Client, open_api, picture, settings_for
from tests.support.s3_server import KEY_ID, SECRET, S3Server

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


CLIENT_WAITS_S = TIMEOUT.read or 0.0


def _settings(database_url: str, folder: Path, server: S3Server, **more: Any) -> Settings:
    return settings_for(
        database_url,
        folder,
        storage_url=server.url(f"test/{new_id()}"),
        s3_access_key_id=KEY_ID,
        s3_secret_access_key=SECRET,
        **more,
    )


@pytest.fixture
async def api(database_url: str, tmp_path: Path, s3_server: S3Server) -> AsyncIterator[Api]:
    async with open_api(_settings(database_url, tmp_path, s3_server)) as opened:
        yield opened


@pytest.fixture
async def impatient(database_url: str, tmp_path: Path, s3_server: S3Server) -> AsyncIterator[Api]:
    """With a store that may keep silent for half a second."""
    quick = {"storage_answer_s": 0.5, "storage_patience_s": 1.5}
    async with open_api(_settings(database_url, tmp_path, s3_server, **quick)) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> Client:
    return await api.client()


async def _sent(link: dict[str, Any], data: bytes) -> int:
    async with httpx.AsyncClient() as outside:
        answer = await outside.request(link["method"], link["url"], headers=link["headers"], content=data)
    return answer.status_code


async def _complete(client: Client, data: bytes) -> dict[str, Any]:
    answer = await client.call("POST", f"/artifacts/{digest_bytes(data)}/complete")
    return dict(answer.json())


async def test_picture_goes_to_the_store_and_comes_from_it(client: Client, s3_server: S3Server) -> None:
    data = picture()
    link = (await client.announce(data))["upload"]
    assert link["url"].startswith(s3_server.endpoint)
    assert (await _complete(client, data))["error"]["code"] == "conflict"
    assert await _sent(link, data) == 200
    before = (await client.call("GET", f"/artifacts/{digest_bytes(data)}")).json()
    assert (before["state"], before["download"]) == ("wanted", None)

    artifact = await _complete(client, data)
    assert (artifact["state"], artifact["width"]) == ("ready", 32)

    redirect = await client.http.get(artifact["download"]["url"])
    assert redirect.status_code == 307
    async with httpx.AsyncClient() as outside:
        fetched = await outside.get(redirect.headers["Location"])
    assert (fetched.content, fetched.headers["Content-Type"]) == (data, "image/png")
    assert fetched.headers["Content-Disposition"].startswith("attachment; ")


async def test_store_takes_only_what_was_announced(client: Client) -> None:
    data = picture()
    link = (await client.announce(data))["upload"]
    assert await _sent(link, bytes(len(data))) == 400
    longer = link | {"headers": link["headers"] | {"content-length": str(len(data) + 1)}}
    assert await _sent(longer, data + b"x") == 403
    assert (await _complete(client, data))["error"]["code"] == "conflict"


async def test_what_is_refused_is_deleted_from_the_store(client: Client) -> None:
    data = picture() + b"<?php"
    assert await _sent((await client.announce(data))["upload"], data) == 200
    assert (await _complete(client, data))["problem"]["code"] == "polyglot"
    assert (await _complete(client, data))["error"]["code"] == "conflict"


async def test_store_that_is_away_is_a_503_that_may_be_tried_again(
    client: Client, s3_server: S3Server
) -> None:
    data = picture()
    assert await _sent((await client.announce(data))["upload"], data) == 200
    s3_server.fail("503", "GET", times=1000)
    answer = await client.call("POST", f"/artifacts/{digest_bytes(data)}/complete")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "blob_unavailable")
    assert "127.0.0.1" not in answer.text
    s3_server.behave()
    assert (await _complete(client, data))["state"] == "ready"


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
async def test_store_that_keeps_silent_holds_no_upload_for_longer_than_its_client_waits(
    impatient: Api, s3_server: S3Server, method: str
) -> None:
    client = await impatient.client()
    data = picture()
    s3_server.fail("hang", method, times=1000)
    begun = time.monotonic()
    answer = await client.call("PUT", f"/artifacts/{digest_bytes(data)}", content=data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "blob_unavailable")
    assert int(answer.headers["Retry-After"]) < 10
    assert time.monotonic() - begun < CLIENT_WAITS_S
    s3_server.behave()
    assert (await client.send(data))["state"] == "ready"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_store_that_keeps_silent_holds_no_look_at_what_was_sent(
    impatient: Api, s3_server: S3Server, method: str
) -> None:
    client = await impatient.client()
    data = picture()
    assert await _sent((await client.announce(data))["upload"], data) == 200
    s3_server.fail("hang", method, times=1000)
    begun = time.monotonic()
    answer = await client.call("POST", f"/artifacts/{digest_bytes(data)}/complete")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "blob_unavailable")
    assert "Retry-After" in answer.headers
    assert time.monotonic() - begun < CLIENT_WAITS_S
    s3_server.behave()
    assert (await _complete(client, data))["state"] == "ready"
