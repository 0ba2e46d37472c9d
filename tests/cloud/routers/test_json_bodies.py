"""Bodies that are no JSON, or only to Python: refused at each route, by the same envelope."""

import re
from typing import Any

import pytest

from cloud.main import create_api
from tests.cloud.api import Client

DOCUMENT: dict[str, Any] = create_api().openapi()
WITH_BODY = [
    re.sub(r"\{\w+\}", "0" * 64 if "artifacts" in path else "0" * 8, path).removeprefix("/api/v1")
    for path, methods in DOCUMENT["paths"].items()
    for operation in methods.values()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]

BODIES = {
    "half a character in a name": b'{"\\ud800": 1}',
    "half a character in a value": b'{"inputs": {}, "values": {"a": "\\uDBff"}}',
    "half a character in bytes": b'{"a": "\xed\xa0\x80"}',
    "other encodings": '{"a": 1}'.encode("utf-16"),
    "no number": b'{"a": NaN}',
    "no end": b'{"a": -Infinity}',
    "beyond a float": b'{"a": 1e400}',
    "beyond all digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"preset": "noir", "preset": "cinematic"}',
    "too deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half": b'{"a": ',
}


def test_routes_with_a_body_were_found() -> None:
    assert {"/jobs", "/batches", "/artifacts", "/webhooks", "/operator/servers"} < set(WITH_BODY)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", WITH_BODY)
async def test_what_is_no_json_is_refused(client: Client, path: str) -> None:
    for what, body in BODIES.items():
        answer = await client.call("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (what, answer.text)
        error = answer.json()["error"]
        assert error["code"] == "invalid_request", what
        assert error["details"]["field"] == "body", what
        assert error["message"].startswith("body: this is not valid JSON: "), what


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_mark_before_the_text_and_pairs_of_surrogates_are_fine(client: Client) -> None:
    body = await client.body()
    digest = body["inputs"]["photo"][0]["digest"]
    text = '\ufeff{"preset": "noir", "inputs": {"photo": [{"digest": "%s", "name": "\\ud83d\\ude00.png"}]}}'
    answer = await client.call(
        "POST", "/jobs", content=(text % digest).encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_is_named(client: Client, content_type: str) -> None:
    answer = await client.call("POST", "/jobs", content=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == (
        "body: send a JSON object, with the content type application/json"
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_field_far_inside_is_not_named_to_the_last_bracket(client: Client) -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    node = {"class_type": "LoadImage", "inputs": {"image": deep}}
    answer = await client.call("POST", "/jobs", json={"inputs": {}, "graph": {"1": node}})
    assert answer.status_code == 422
    assert len(answer.json()["error"]["details"]["field"]) < 300
