"""One id from the request to the worker, and to the audit."""

import structlog

from shared.api.servers import ServerRequest
from tests.cloud.api import Api, Client


async def test_job_keeps_the_id_of_the_request_that_submitted_it(api: Api, client: Client) -> None:
    body = await client.body()
    answer = await client.call("POST", "/jobs", json=body, headers={"X-Request-ID": "studio-7"})
    assert answer.headers["X-Request-ID"] == "studio-7"
    claiming = api.factory.claiming()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    claim = await claiming.claim(lane, worker="w")
    assert claim is not None
    assert claim.origin.request_id == "studio-7"
    assert "request_id" not in structlog.contextvars.get_contextvars()


async def test_deeds_of_operators_and_keys_are_kept_with_the_request(api: Api, client: Client) -> None:
    request = ServerRequest(url="http://gpu.example", name="gpu").model_dump(mode="json")
    await client.call("POST", "/operator/servers", json=request, headers={"X-Request-ID": "ops-1"})
    await api.factory.keys().revoke(client.key_id)
    entries = await api.context.database.read(lambda unit: unit.audit.newest(3))
    assert [(entry.actor, entry.action, entry.subject, entry.request_id) for entry in entries] == [
        ("command line", "key.revoke", client.key_id, None),
        (f"key {client.key_id}", "server.add", "gpu", "ops-1"),
        ("command line", "key.create", client.key_id, None),
    ]
