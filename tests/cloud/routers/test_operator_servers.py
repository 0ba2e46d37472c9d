"""The operator's view of the servers, over HTTP."""

from cloud.services.callers import ACCOUNT_SCOPES, Scope
from tests.cloud.api import Api, Client

SERVERS = "/operator/servers"
ADD = {"url": "http://10.0.0.7:8188", "name": "big", "token": "s3cret"}


async def test_a_server_is_added_drained_and_removed(client: Client) -> None:
    added = await client.call("POST", SERVERS, json=ADD)
    assert added.status_code == 201, added.text
    assert "s3cret" not in added.text
    assert (await client.call("POST", f"{SERVERS}/big/drain")).json()["state"] == "draining"
    assert (await client.call("POST", f"{SERVERS}/big/enable")).json()["state"] == "active"
    listed = await client.call("GET", SERVERS)
    assert [server["name"] for server in listed.json()["servers"]] == ["big"]
    assert (await client.call("DELETE", f"{SERVERS}/big")).status_code == 204
    assert (await client.call("GET", f"{SERVERS}/big")).status_code == 404


async def test_the_same_server_twice_is_a_conflict_that_names_the_field(client: Client) -> None:
    await client.call("POST", SERVERS, json=ADD)
    again = await client.call("POST", SERVERS, json=ADD)
    assert (again.status_code, again.json()["error"]["details"]["field"]) == (409, "name")


async def test_an_account_key_is_no_operator(api: Api, client: Client) -> None:
    await client.call("POST", SERVERS, json=ADD)
    user = await api.client(scopes=ACCOUNT_SCOPES)
    for method, path in [
        ("GET", ""),
        ("POST", ""),
        ("GET", "/big"),
        ("POST", "/big/drain"),
        ("DELETE", "/big"),
    ]:
        body = {"json": ADD} if (method, path) == ("POST", "") else {}
        answer = await user.call(method, SERVERS + path, **body)
        assert (answer.status_code, answer.json()["error"]["details"]) == (403, {"scope": Scope.OPERATE})


async def test_the_audit_names_the_key(api: Api, client: Client) -> None:
    await client.call("GET", SERVERS)
    [entry, *_] = await api.factory.servers().audit()
    assert (entry.actor, entry.action) == (f"key {client.key_id}", "server.list")


async def test_a_job_says_why_it_waits_and_a_server_why_it_does_not_work(client: Client) -> None:
    job_id = await client.job_id()
    answer = await client.call("GET", f"/jobs/{job_id}/waiting")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "queued"
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["no_worker"]

    await client.call("POST", SERVERS, json=ADD)
    why = (await client.call("GET", f"{SERVERS}/big/why")).json()
    assert [reason["code"] for reason in why["reasons"]] == [
        "no_worker",
        "never_seen",
        "not_led",
        "nothing_waits",
    ]


async def test_users_are_told_no_addresses(client: Client) -> None:
    await client.call("POST", SERVERS, json=ADD)
    job_id = await client.job_id()
    assert "10.0.0.7" not in (await client.call("GET", f"/jobs/{job_id}/waiting")).text


async def test_a_token_that_no_header_can_hold_is_refused(client: Client) -> None:
    refused = await client.call(
        "POST", "/operator/servers", json={"url": "http://gpu", "token": "schl\u00fcssel"}
    )
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "token")


async def test_every_server_has_a_name(client: Client) -> None:
    for url in ("http://_", "http://-:8188"):
        added = await client.call("POST", "/operator/servers", json={"url": url, "name": None})
        assert added.status_code in {201, 409, 422}, added.text
    names = [server["name"] for server in (await client.call("GET", "/operator/servers")).json()["servers"]]
    assert "" not in names
