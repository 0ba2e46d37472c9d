"""Raw graphs: from accounts that may send them, and from no others."""

from typing import Any

import pytest

from cloud.services.callers import COMMAND_LINE
from shared.api.accounts import Plan
from tests.cloud.api import Api, Client

GRAPH: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}


async def _allowed(api: Api) -> Client:
    client = await api.client("s@example.com", plan=Plan.STUDIO)
    await api.factory.accounts().allow_graphs(
        COMMAND_LINE, await api.factory.users().find("s@example.com"), allowed=True
    )
    return client


async def _body(client: Client, **more: Any) -> dict[str, Any]:
    photo = {"digest": await client.known_picture(), "name": "a.png"}
    return {"graph": GRAPH, "inputs": {"1.image": [photo]}, **more}


async def test_graph_is_taken_and_shown_as_one(api: Api) -> None:
    client = await _allowed(api)
    accepted = await client.submit(await _body(client))
    assert accepted.status_code == 202, accepted.text
    job = (await client.call("GET", f"/jobs/{accepted.json()['id']}")).json()
    assert (job["preset"], job["values"], job["price"]) == ("graph", {}, api.context.settings.graph_price)
    assert len(job["preset_version"]) == 16
    [lane] = (await api.factory.claiming().backlog(("builtin",))).lanes
    claim = await api.factory.claiming().claim(lane, worker="w")
    assert claim is not None
    assert claim.graph is not None
    assert '"filename_prefix":"safelight"' in claim.graph


async def test_account_must_have_the_plan_and_the_permission(api: Api, client: Client) -> None:
    refused = await client.submit(await _body(client))
    assert (refused.status_code, refused.json()["error"]["details"]["limit"]) == (402, "raw_graphs")
    studio = await api.client("t@example.com", plan=Plan.STUDIO)
    refused = await studio.submit(await _body(studio))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_allowed")
    allowed = await _allowed(api)
    assert (await allowed.call("GET", "/account")).json()["limits"]["raw_graphs"] is True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": {}}, "inputs.1.image"),
        ({"inputs": {"1.image": [{"digest": "0" * 64, "name": "a.png"}]}}, "inputs.1.image"),
        ({"graph": {"1": {"class_type": "Shell", "inputs": {}}}, "inputs": {}}, "graph"),
        ({"preset": "noir"}, "body"),
        ({"graph": None}, "body"),
        ({"values": {"a": 1}}, "body"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_bad_graph_is_refused_by_its_field(api: Api, change: dict[str, Any], field: str) -> None:
    client = await _allowed(api)
    answer = await client.submit(await _body(client, **change))
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"]["field"] == field


async def test_graph_can_be_tried_again_while_it_is_allowed(api: Api) -> None:
    client = await _allowed(api)
    job_id = (await client.submit(await _body(client))).json()["id"]
    again = await client.call("POST", f"/jobs/{job_id}/retry")
    assert again.status_code == 202
    retried = (await client.call("GET", f"/jobs/{again.json()['id']}")).json()
    assert (retried["preset"], retried["retry_of"]) == ("graph", job_id)
    await api.factory.accounts().allow_graphs(
        COMMAND_LINE, await api.factory.users().find("s@example.com"), allowed=False
    )
    assert (await client.call("POST", f"/jobs/{job_id}/retry")).status_code == 403
