import json
from typing import Any

import httpx
import pytest

from cloud.clients.blob import artifact_key
from cloud.factory import Factory
from cloud.services.callers import Scope
from shared.files import digest_bytes
from tests.cloud.api import PRESET, Api, Client, picture

PATH = "/jobs/with-files"
FORM = "multipart/form-data; boundary=x"


async def _submit(
    client: Client, files: list[tuple[str, Any]], job: dict[str, Any] | None = None, **headers: str
) -> httpx.Response:
    parts = [*files, ("job", (None, json.dumps(job or {"preset": PRESET})))]
    return await client.call("POST", PATH, files=parts, headers=headers)


def _photo(data: bytes | None = None, name: str = "a.png") -> list[tuple[str, Any]]:
    return [("photo", (name, data or picture()))]


async def test_job_is_taken_with_the_file_that_it_works_on(client: Client) -> None:
    answer = await _submit(client, _photo(name="größe.png"))

    assert answer.status_code == 202, answer.text
    job = (await client.call("GET", f"/jobs/{answer.json()['id']}")).json()
    assert job["state"] == "queued"
    assert job["inputs"]["photo"][0]["digest"] == digest_bytes(picture())
    known = await client.announce(picture())
    assert (known["state"], known["width"], known["height"]) == ("ready", 32, 24)
    assert (await client.http.get(known["download"]["url"])).content == picture()


async def test_file_whose_digest_the_job_names_is_not_added(client: Client) -> None:
    named = {"preset": PRESET, "inputs": {"photo": [{"digest": digest_bytes(picture()), "name": "b.png"}]}}
    answer = await _submit(client, _photo(), named, **{"Idempotency-Key": "k"})
    again = await client.submit(named, key="k")

    assert answer.status_code == 202, answer.text
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (answer.json(), "true")
    job = (await client.call("GET", f"/jobs/{answer.json()['id']}")).json()
    assert [item["name"] for item in job["inputs"]["photo"]] == ["b.png"]


async def test_same_key_and_form_give_the_same_job(client: Client) -> None:
    key = {"Idempotency-Key": "k"}
    first = await _submit(client, _photo(), **key)
    again = await _submit(client, _photo(), **key)
    other = await _submit(client, _photo(picture("blue")), **key)

    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert len((await client.call("GET", "/jobs")).json()["jobs"]) == 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"<!doctype html>", "unsupported_media"), (picture(format="JPEG")[:-300], "broken_media")],
)
async def test_nothing_is_taken_with_a_file_that_is_no_whole_picture(
    client: Client, data: bytes, problem: str
) -> None:
    answer = await _submit(client, [*_photo(), ("mask", ("evil.png", data))])

    assert answer.status_code == 422
    error = answer.json()["error"]
    assert "evil.png" in error["message"]
    assert error["details"]["field"] == "inputs.mask"
    assert error["details"]["problem"] == problem
    assert (await client.call("GET", "/jobs")).json()["jobs"] == []
    key = artifact_key(client.account_id, digest_bytes(data))
    assert await client.context.blobs.size(key) is None


async def test_job_that_is_refused_leaves_its_files_unready(client: Client) -> None:
    answer = await _submit(client, _photo(), {"preset": "nothing-like-it"})

    assert answer.status_code == 422
    assert (await client.announce(picture()))["state"] == "wanted"


@pytest.mark.parametrize(
    ("content", "kind", "field"),
    [
        (b"{}", "application/json", "body"),
        (b"--y--\r\n", FORM, "body"),
        (b"--x\r\n", FORM, "body"),
        (b'--x\r\nContent-Disposition: form-data; name="job"\r\n\r\n{}', FORM, "body"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', FORM, "job"),
        (b'--x\r\nContent-Disposition: form-data; name="job"\r\n\r\n[]\r\n--x--\r\n', FORM, "body"),
        (b'--x\r\nContent-Disposition: form-data; name="job"\r\n\r\n{\r\n--x--\r\n', FORM, "body"),
        (b'--x\r\nContent-Disposition: form-data; name="job"\r\n\r\n{}\r\n--x--\r\n', FORM, "body"),
        (b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n{}\r\n--x--\r\n', FORM, "body"),
    ],
)
async def test_what_is_no_form_is_refused(client: Client, content: bytes, kind: str, field: str) -> None:
    answer = await client.call("POST", PATH, content=content, headers={"Content-Type": kind})

    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"]["field"] == field


async def test_file_name_without_end_is_refused(client: Client) -> None:
    answer = await _submit(client, _photo(name="a" * 256))

    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, "inputs.photo")


async def test_too_many_files_are_refused(client: Client) -> None:
    answer = await _submit(client, _photo() * 65)

    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, "inputs")


async def test_answer_tells_the_jobs_events_where_it_is_asked_to(client: Client) -> None:
    headers = {"Accept": "text/event-stream", "Idempotency-Key": "k"}
    job_id = (await _submit(client, _photo(), **{"Idempotency-Key": "k"})).json()["id"]
    await client.call("POST", f"/jobs/{job_id}/cancel")
    await Factory(client.context).publisher().publish()
    answer = await _submit(client, _photo(), **headers)

    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (202, "true")
    lines = [line.partition(": ")[::2] for line in answer.text.splitlines()]
    assert [value for name, value in lines if name == "event"] == ["accepted", "queued", "cancelled"]
    assert json.loads(dict(lines[:2])["data"])["id"] == job_id


async def test_following_takes_a_key_that_may_read(api: Api) -> None:
    writer = await api.client(scopes=(Scope.WRITE,))
    followed = await _submit(writer, _photo(), Accept="text/event-stream")

    assert followed.status_code == 403
    assert (await _submit(writer, _photo())).status_code == 202
