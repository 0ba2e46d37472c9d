"""Where jobs go: the pools of presets, plans and accounts, and the labels that a job asks for."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import BadSettings
from cloud.repositories.servers import ServerFacts
from cloud.services.callers import COMMAND_LINE
from shared.api.accounts import Plan
from shared.api.servers import ServerRequest
from tests.cloud.api import Api, Client, open_api, settings_for

PORTRAIT = "portrait-pro"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(settings_for(database_url, tmp_path, plan_pools={"studio": "fast"})) as opened:
        yield opened


async def _add(api: Api, name: str, pool: str, **labels: str) -> None:
    request = ServerRequest(url=f"http://{name}:8188", name=name, pool=pool, labels=labels)
    await api.factory.servers().add(COMMAND_LINE, request)


async def _body(client: Client, **more: Any) -> dict[str, Any]:
    return await client.body(**{"preset": PORTRAIT, **more})


async def _pools(api: Api) -> Mapping[str, int]:
    lanes = await api.factory.claiming().backlog(("comfy", "big", "fast", "own"))
    return {lane.pool: lane.waiting for lane in lanes.lanes}


async def test_the_account_goes_before_the_plan(api: Api) -> None:
    for pool in ("comfy", "fast", "own"):
        await _add(api, f"{pool}-1", pool)
    free, studio = await api.client(), await api.client("s@example.com", plan=Plan.STUDIO)
    owner = await api.client("o@example.com", plan=Plan.STUDIO)
    user = await api.factory.users().find("o@example.com")
    await api.factory.accounts().set_pool(COMMAND_LINE, user, "own")
    for client in (free, studio, owner):
        assert (await client.submit(await _body(client))).status_code == 202
    assert await _pools(api) == {"comfy": 1, "fast": 1, "own": 1}


async def test_the_preset_goes_before_the_plan_and_has_labels_of_its_own(
    database_url: str, tmp_path: Path
) -> None:
    said: dict[str, Any] = {"preset_pools": {PORTRAIT: "big"}, "preset_labels": {PORTRAIT: {"memory": "80"}}}
    async with open_api(settings_for(database_url, tmp_path, plan_pools={"free": "fast"}, **said)) as api:
        client = await api.client()
        await _add(api, "big-1", "big", memory="24")
        refused = await client.submit(await _body(client))
        assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "labels")
        await _add(api, "big-2", "big", memory="80", rack="3")
        accepted = await client.submit(await _body(client))
        assert accepted.status_code == 202, accepted.text
        assert await _pools(api) == {"big": 1}
        shown = (await client.call("GET", f"/jobs/{accepted.json()['id']}")).json()
        assert shown["labels"] == {"memory": "80"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_settings_that_speak_of_an_unknown_preset_are_refused(
    database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSettings, match=r"SAFELIGHT_PRESET_POOLS.*portrait-por"):
        async with open_api(settings_for(database_url, tmp_path, preset_pools={"portrait-por": "big"})):
            pass


async def test_what_no_server_could_ever_run_is_refused_at_once(api: Api) -> None:
    studio = await api.client("s@example.com", plan=Plan.STUDIO)
    await _add(api, "comfy-1", "comfy")
    nowhere = await studio.submit(await _body(studio))
    error = nowhere.json()["error"]
    assert (nowhere.status_code, error["details"]["field"]) == (422, "preset")
    assert "none in the pool fast" in error["message"]
    await _add(api, "fast-1", "fast", gpu="l4")
    other = await studio.submit(await _body(studio, labels={"gpu": "h200", "zone": "eu"}))
    error = other.json()["error"]
    assert (other.status_code, error["details"]["field"]) == (422, "labels")
    assert "gpu=h200, zone=eu" in error["message"]
    assert (await studio.submit(await _body(studio, labels={"gpu": "l4"}))).status_code == 202


async def test_a_plan_without_labels_and_a_preset_without_server_refuse_them(api: Api) -> None:
    await _add(api, "comfy-1", "comfy", gpu="l4")
    free, studio = await api.client(), await api.client("s@example.com", plan=Plan.STUDIO)
    refused = await free.submit(await _body(free, labels={"gpu": "l4"}))
    assert (refused.status_code, refused.json()["error"]["details"]["limit"]) == (402, "server_labels")
    instant = await studio.submit(await studio.body(labels={"gpu": "l4"}))
    assert (instant.status_code, instant.json()["error"]["details"]["field"]) == (422, "labels")


async def test_a_retry_keeps_what_was_asked_for_as_far_as_the_plan_has_it(api: Api) -> None:
    await _add(api, "fast-1", "fast", gpu="l4")
    await _add(api, "comfy-1", "comfy")
    studio = await api.client("s@example.com", plan=Plan.STUDIO)
    body = await _body(studio, labels={"gpu": "l4"}, priority="high")
    path = f"/jobs/{(await studio.submit(body)).json()['id']}"
    first = (await studio.call("GET", path)).json()
    again = await _retried(studio, path)
    assert (first["priority"], first["labels"]) == ("high", {"gpu": "l4"})
    assert (again["priority"], again["labels"]) == ("high", {"gpu": "l4"})
    user = await api.factory.users().find("s@example.com")
    await api.factory.accounts().set_plan(COMMAND_LINE, user, Plan.CREATOR)
    third = await _retried(studio, path)
    assert (third["priority"], third["labels"]) == ("normal", {})


async def test_a_batch_and_its_retry_keep_them_too(api: Api) -> None:
    await _add(api, "fast-1", "fast", gpu="l4")
    studio = await api.client("s@example.com", plan=Plan.STUDIO)
    job = await _body(studio)
    batch = {
        "preset": PORTRAIT,
        "items": [{"inputs": job["inputs"]}],
        "labels": {"gpu": "l4"},
        "priority": "low",
    }
    made = (await studio.call("POST", "/batches", json=batch)).json()
    await studio.call("POST", f"/batches/{made['id']}/cancel")
    retried = (await studio.call("POST", f"/batches/{made['id']}/retry")).json()
    [job_id] = retried["jobs"]
    job = (await studio.call("GET", f"/jobs/{job_id}")).json()
    assert (job["priority"], job["labels"]) == ("low", {"gpu": "l4"})


async def test_the_waiting_job_is_told_which_server_lacks_the_label(api: Api) -> None:
    await _add(api, "fast-1", "fast", gpu="l4")
    await _add(api, "fast-2", "fast")
    await _seen(api, "fast-2")
    studio = await api.client("s@example.com", plan=Plan.STUDIO)
    job_id = (await studio.submit(await _body(studio, labels={"gpu": "l4"}))).json()["id"]
    reasons = (await studio.call("GET", f"/jobs/{job_id}/waiting")).json()["reasons"]
    told = {reason["server"]: reason["message"] for reason in reasons if reason["code"] == "labels"}
    assert told == {"fast-2": "fast-2 is not labelled gpu=l4, as the job asks"}


async def _seen(api: Api, name: str) -> None:
    """A worker leads the server, and it has answered."""
    await api.factory.leading().lead("w", idle=())
    await api.factory.leading().note_answer(name, ServerFacts(), None)


async def _retried(client: Client, path: str) -> dict[str, Any]:
    answer = await client.call("POST", f"{path}/retry")
    assert answer.status_code == 202, answer.text
    return dict((await client.call("GET", f"/jobs/{answer.json()['id']}")).json())
