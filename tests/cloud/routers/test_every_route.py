"""What holds for every route, taken from the table of routes itself."""

import json
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.main import create_api
from cloud.services.callers import Scope
from tests.cloud.api import BASE, Api, Client

DOCUMENT: dict[str, Any] = create_api().openapi()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
WITH_KEY = [(method, path) for method, path, operation in OPERATIONS if "security" in operation]
OPEN = {
    "/health",
    "/ready",
    "/api/v1/uploads/{token}",
    "/api/v1/downloads/{token}",
    "/api/v1/shared/{token}",
}


def test_only_links_and_health_need_no_key() -> None:
    assert {path for _, path, operation in OPERATIONS if "security" not in operation} == OPEN


async def _batch(client: Client) -> dict[str, object]:
    job = await client.body()
    return {"preset": job["preset"], "items": [{"inputs": job["inputs"]}]}


async def _mine(client: Client) -> dict[str, str]:
    """What the path parameters stand for, in an account that has one of each."""
    batch = await client.call("POST", "/batches", json=await _batch(client))
    return {
        "batch_id": str(batch.json()["id"]),
        "job_id": await client.job_id(),
        "digest": await client.known_picture(),
        "preset_id": "noir",
        "position": "0",
        "share_id": await client.share_id(),
        **await _webhook(client),
        "name": "gpu",
    }


async def _webhook(client: Client) -> dict[str, str]:
    added = await client.call("POST", "/webhooks", json={"url": "https://hooks.example/"})
    webhook = str(added.json()["webhook"]["id"])
    pinged = await client.call("POST", f"/webhooks/{webhook}/ping")
    return {"webhook_id": webhook, "delivery_id": str(pinged.json()["id"])}


def _filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


async def _ask(client: Client, method: str, path: str, key: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    sent = {"since": "2026-01-01T00:00:00Z"} if re.search(r"/webhooks/[^/]+/replay$", path) else {}
    body = {"json": sent} if method == "POST" else {}
    return await client.http.request(method, BASE + path, headers=headers, **body)


async def test_no_route_answers_a_stranger(api: Api, client: Client) -> None:
    """Each route by nobody, by a wrong key, a revoked and an expired one, and by another account."""
    values = await _mine(client)
    revoked = await api.client()
    await api.factory.keys().revoke(revoked.key_id)
    other = await api.client("b@example.com")
    for method, path in WITH_KEY:
        for key in (None, "sl_live_x", client.key[:-1] + "!", revoked.key):
            answer = await _ask(client, method, _filled(path, values), key)
            assert answer.status_code == 401, (method, path, key)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        mine = any(
            name in path for name in ("{job_id}", "{batch_id}", "{digest}", "{share_id}", "{webhook_id}")
        )
        if method != "PUT" and mine:  # what one sends is one's own
            answer = await _ask(client, method, _filled(path, values), other.key)
            assert answer.status_code == 404, (method, path)
            assert values["job_id"] not in answer.text.replace(f'"job":"{values["job_id"]}"', "")


async def test_reading_key_is_refused_every_change(api: Api, client: Client) -> None:
    values = await _mine(client)
    reader = await api.client(scopes=(Scope.READ,))
    bodies: dict[str, object] = {
        "/api/v1/jobs": await client.body(),
        "/api/v1/batches": await _batch(client),
        "/api/v1/artifacts": {"digest": "0" * 64, "bytes": 1},
        "/api/v1/operator/servers": {"url": "http://gpu"},
        "/api/v1/webhooks": {"url": "https://hooks.example/"},
        "/api/v1/webhooks/{webhook_id}/replay": {"since": "2026-01-01T00:00:00Z"},
    }
    for method, path in WITH_KEY:
        if method in {"POST", "PUT"} and path != "/api/v1/stream-tickets":  # which only read
            answer = await client.http.request(
                method,
                BASE + _filled(path, values),
                headers={"Authorization": f"Bearer {reader.key}"},
                json=bodies.get(path, {}),
            )
            assert answer.status_code == 403, (method, path, answer.text)


def _bodies() -> st.SearchStrategy[Any]:
    """Any JSON, and jobs and artifacts that are nearly right."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(min_value=-(2**70), max_value=2**70)
        | st.floats()
        | st.text(max_size=20)
        | st.just("\ud800")
        | st.just("noir")
        | st.just("0" * 64)
    )
    anything = st.recursive(leaves, _nested, max_leaves=8)
    values = st.dictionaries(
        st.sampled_from(["glow", "filter", "tone", "x", "exposure"]), anything, max_size=4
    )
    file = st.fixed_dictionaries({"digest": st.just("0" * 64) | anything, "name": st.text(max_size=10)})
    files = st.lists(file, max_size=2) | anything
    inputs = st.dictionaries(st.just("photo") | st.text(max_size=5), files, max_size=2)
    job = st.fixed_dictionaries(
        {"preset": st.just("noir") | leaves, "inputs": inputs},
        optional={"values": values | anything, "preset_version": leaves},
    )
    artifact = st.fixed_dictionaries({"digest": st.just("0" * 64) | leaves, "bytes": leaves})
    return anything | job | artifact


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)


BODIES = _bodies() | st.binary(max_size=50)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["\x00", "..", "%2e%2e", "é", "0" * 64, "noir"]
)
ASKED = st.sampled_from([item for item in OPERATIONS if "events" not in item[1]])


@st.composite
def _requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    method, path, operation = draw(ASKED)
    url = BASE + re.sub(r"\{\w+\}", lambda _: quote(draw(TEXTS), safe="") or "x", path)
    names = [item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"]
    params = {name: draw(TEXTS) for name in names if draw(st.booleans())}
    body = draw(BODIES)
    return method, url, params, body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_only_operators_see_what_everybody_uses(api: Api, client: Client) -> None:
    values = await _mine(client)
    account = await api.client(scopes=(Scope.READ, Scope.WRITE))
    operators = [(method, path) for method, path in WITH_KEY if "/operator/" in path]
    assert operators
    for method, path in operators:
        answer = await _ask(client, method, _filled(path, values), account.key)
        assert answer.status_code in {403, 422}, (method, path, answer.text)
        assert "http" not in answer.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_key_that_may_only_write_reads_nothing(api: Api, client: Client) -> None:
    values = await _mine(client)
    writer = await api.client(scopes=(Scope.WRITE,))
    for method, path in WITH_KEY:
        if method == "GET" and "/presets" not in path:  # which are everybody's
            answer = await _ask(client, method, _filled(path, values), writer.key)
            assert answer.status_code == 403, (method, path, answer.text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nobody_sets_what_is_ours_to_set(client: Client) -> None:
    """Fields that a request does not have are refused, wherever it has a body."""
    for method, path, operation in OPERATIONS:
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            url = BASE + _filled(path, await _mine(client)) if "{" in path else BASE + path
            body = {"account_id": "x", "state": "completed", "price": 0, "owner": "x"}
            headers = {"Authorization": f"Bearer {client.key}"}
            answer = await client.http.request(method, url, json=body, headers=headers)
            assert answer.status_code == 422, (method, path)
            assert "not permitted" in answer.text or "Extra inputs" in answer.text, (path, answer.text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=_requests())
async def test_no_input_is_a_fault_of_ours(
    client: Client, asked: tuple[str, str, dict[str, str], bytes]
) -> None:
    """Bad input of every kind at every route: an error in the envelope, and never a 500."""
    method, url, params, content = asked
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": "application/json"}

    answer = await client.http.request(method, url, params=params, content=content, headers=headers)

    assert answer.status_code < 500, (method, url, params, content, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        error = answer.json()["error"]
        assert set(error) == {"code", "message", "details", "request_id"}
        assert error["request_id"] == answer.headers["X-Request-ID"]


async def test_every_error_has_the_envelope(client: Client) -> None:
    http = client.http
    answers = [
        await http.get(f"{BASE}/nowhere"),
        await http.get(f"{BASE}/api/v1/jobs/"),
        await http.delete(f"{BASE}/api/v1/jobs"),
        await http.get(f"{BASE}/api/v1/jobs"),
        await client.call("POST", "/jobs", content=b"{", headers={"Content-Type": "application/json"}),
        await client.call("POST", "/jobs", content=b"[" * 100_000),
        await client.call("POST", "/jobs", content=b"x" * 2_000_000),
        await http.get(f"{BASE}/health", headers={"Host": "evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 405, 401, 422, 422, 413, 400]
    for answer in answers:
        assert set(answer.json()["error"]) == {"code", "message", "details", "request_id"}
        assert answer.json()["error"]["request_id"] == answer.headers["X-Request-ID"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_wrong_method_is_told_every_right_one(client: Client) -> None:
    digest = "0" * 64
    refused = [
        await client.http.delete(f"{BASE}/api/v1/jobs"),
        await client.http.options(f"{BASE}/api/v1/artifacts/{digest}"),
        await client.http.options(f"{BASE}/api/v1/jobs/with-files"),  # which is no job's id
        await client.call("GET", "/jobs/with-files"),
    ]
    assert [answer.status_code for answer in refused] == [405] * 4
    assert [answer.headers["Allow"] for answer in refused] == ["GET, POST", "GET, PUT", "POST", "POST"]


async def test_request_id_of_the_client_is_kept_if_it_is_harmless(client: Client) -> None:
    kept = await client.http.get(f"{BASE}/health", headers={"X-Request-ID": "my-id.7"})
    made = await client.http.get(f"{BASE}/health", headers={"X-Request-ID": "a b<script>"})
    assert kept.headers["X-Request-ID"] == "my-id.7"
    assert re.fullmatch(r"[0-9a-f-]{36}", made.headers["X-Request-ID"])


async def test_ready_says_what_answers(api: Api, client: Client) -> None:
    answer = await client.http.get(f"{BASE}/ready")
    assert answer.json() == {
        "ready": True,
        "database": True,
        "migrations": True,
        "storage": True,
        "queue": True,
        "stopping": False,
    }


async def _call_tables(api: Api, version: str) -> None:
    await api.context.database.write(
        lambda unit: unit.connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")  # noqa: S608
    )


@pytest.mark.parametrize(("version", "ready"), [("0001", False), ("9999", True)])
async def test_ready_beside_tables_that_a_later_program_has_migrated(
    api: Api, client: Client, version: str, ready: bool
) -> None:
    """As while the processes are replaced one after another."""
    newest = await api.context.database.read(lambda unit: unit.schema_version())
    await _call_tables(api, version)
    try:
        answer = await client.http.get(f"{BASE}/ready")
    finally:
        await _call_tables(api, newest)  # others are given the same tables
    assert (answer.json()["migrations"], answer.json()["ready"]) == (ready, ready)


async def test_fault_of_ours_tells_nothing_of_it(api: Api, client: Client) -> None:
    broken = create_api()

    @broken.get("/broken")
    async def fail() -> None:
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    transport = httpx.ASGITransport(broken, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport) as http:
        answer = await http.get(f"{BASE}/broken")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "passwd" not in answer.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("number", [True, "1"])
async def test_what_is_no_number_is_not_taken_for_one(client: Client, number: object) -> None:
    job = await client.body()
    for path, body in (
        ("/artifacts", {"digest": "0" * 64, "bytes": number}),
        ("/jobs", {**job, "max_price": number}),
        ("/jobs", {**job, "expires_in_s": number}),
        ("/operator/servers", {"url": "http://gpu", "capacity": number}),
    ):
        refused = await client.call("POST", path, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request"), path
