"""Batches: many inputs, one preset; all or none, counted to the end, told once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.repositories.attempt import Claim
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.jobs.events import Output, OutputKind
from tests.cloud.api import BASE, PRESET, Api, Client, open_api, settings_for

GRANT = entitlements_of(Plan.FREE).credits_per_month
OUTPUT = Output("9", 0, OutputKind.IMAGE, "a.png", "image/png", 10, "b" * 64, 4, 4)


@pytest.fixture
async def priced(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Where a job of the preset costs three credits."""
    async with open_api(settings_for(database_url, tmp_path), price=3) as opened:
        yield opened


async def _batch(client: Client, count: int, **more: Any) -> dict[str, Any]:
    digest = await client.known_picture()
    items = [{"inputs": {"photo": [{"digest": digest, "name": f"{index}.png"}]}} for index in range(count)]
    return {"preset": PRESET, "items": items, **more}


async def _submit(client: Client, body: dict[str, Any], key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.call("POST", "/batches", json=body, headers=headers)


async def _claim(api: Api) -> Claim:
    claiming = api.factory.claiming()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    claim = await claiming.claim(lane, worker="w")
    assert claim is not None
    return claim


async def _complete(api: Api, claim: Claim) -> None:
    await api.factory.attempts().begin_saving(claim.ref)
    await api.factory.attempts().complete(claim.ref, [OUTPUT])


async def _ends(api: Api, client: Client) -> list[dict[str, Any]]:
    """The ends of batches among the account's events."""
    await api.context.database.write(lambda unit: unit.events.number_unpublished(10_000))
    rows = await api.context.database.read(
        lambda unit: unit.events.after(client.account_id, 0, job_id=None, limit=10_000)
    )
    return [json.loads(row.body) for row in rows if row.kind == "batch_completed"]


async def test_batch_is_accepted_as_a_whole(client: Client) -> None:
    body = await _batch(client, 3, name="Wedding", values={"glow": 5})
    body["items"][1]["values"] = {"glow": 7}
    answer = await _submit(client, body)

    accepted = answer.json()
    batch_id = accepted["id"]
    assert answer.status_code == 202
    assert accepted == {
        "id": batch_id,
        "total": 3,
        "price": 0,
        "jobs": accepted["jobs"],
        "status_url": f"{BASE}/api/v1/batches/{batch_id}",
        "jobs_url": f"{BASE}/api/v1/jobs?batch={batch_id}",
    }
    jobs = (await client.call("GET", f"/jobs?batch={batch_id}")).json()["jobs"]
    assert [job["id"] for job in jobs] == accepted["jobs"][::-1]
    assert [job["values"]["glow"] for job in jobs] == [5, 7, 5]
    assert {job["batch"] for job in jobs} == {batch_id}
    shown = (await client.call("GET", f"/batches/{batch_id}")).json()
    assert (shown["name"], shown["total"], shown["remaining"], shown["finished_at"]) == (
        "Wedding",
        3,
        3,
        None,
    )


async def test_one_bad_item_refuses_them_all(api: Api, client: Client) -> None:
    body = await _batch(client, 3)
    for broken, field in (
        ({"inputs": {"photo": []}}, "items.2.inputs.photo"),
        ({**body["items"][0], "values": {"glow": 1e9}}, "items.2.values.glow"),
        ({"inputs": {"photo": [{"digest": "0" * 64, "name": "x.png"}]}}, "items.2.inputs.photo"),
    ):
        answer = await _submit(client, {**body, "items": [*body["items"][:2], broken]}, key="k")
        error = answer.json()["error"]
        assert (answer.status_code, error["details"]["index"], error["details"]["field"]) == (422, 2, field)
        assert error["message"].startswith("item 2: ")
    assert (await client.call("GET", "/jobs")).json()["jobs"] == []
    assert (await client.call("GET", "/batches")).json()["batches"] == []
    assert (await _submit(client, body, key="k")).status_code == 202


async def test_batch_is_made_once_per_key(client: Client) -> None:
    body = await _batch(client, 4)
    answers = await asyncio.gather(*(_submit(client, body, key="k") for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {202, 409, 503}
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert len({answer.content for answer in accepted}) == 1
    assert len((await client.call("GET", "/jobs")).json()["jobs"]) == 4
    other = await _submit(client, {**body, "name": "other"}, key="k")
    assert other.json()["error"]["code"] == "idempotency_key_reused"


async def test_price_of_all_is_reserved_or_nothing(priced: Api) -> None:
    client = await priced.client()
    afford = GRANT // 3
    refused = await _submit(client, await _batch(client, afford + 1))
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "needs_credits")
    accepted = await _submit(client, await _batch(client, afford))
    assert accepted.json()["price"] == afford * 3
    balance = (await client.call("GET", "/credits")).json()
    assert (balance["available"], balance["reserved"]) == (GRANT - afford * 3, afford * 3)
    assert await priced.factory.credit_audit().findings() == ()


async def test_end_is_told_once_with_its_counts(priced: Api) -> None:
    """The last two end at once."""
    client = await priced.client(plan=Plan.STUDIO)
    batch_id = (await _submit(client, await _batch(client, 4))).json()["id"]
    claims = [await _claim(priced) for _ in range(4)]
    attempts = priced.factory.attempts()
    await _complete(priced, claims[0])
    await attempts.fail(claims[1].ref, code="x", message="x", retryable=False)
    assert await _ends(priced, client) == []

    await asyncio.gather(_complete(priced, claims[2]), _complete(priced, claims[3]))

    [end] = await _ends(priced, client)
    assert {name: end[name] for name in ("batch_id", "total", "completed", "failed", "cancelled")} == {
        "batch_id": batch_id,
        "total": 4,
        "completed": 3,
        "failed": 1,
        "cancelled": 0,
    }
    shown = (await client.call("GET", f"/batches/{batch_id}")).json()
    assert (shown["completed"], shown["failed"], shown["remaining"]) == (3, 1, 0)
    assert shown["finished_at"] is not None
    assert await priced.factory.credit_audit().findings() == ()


async def test_stream_of_a_job_does_not_tell_of_its_batch(api: Api, client: Client) -> None:
    batch_id = (await _submit(client, await _batch(client, 1))).json()["id"]
    await client.call("POST", f"/batches/{batch_id}/cancel")
    [end] = await _ends(api, client)
    rows = await api.context.database.read(
        lambda unit: unit.events.after(client.account_id, 0, job_id=end["job_id"], limit=10)
    )
    assert [row.kind for row in rows] == ["queued", "cancelled"]


async def test_cancelled_batch_ends_what_waits_and_asks_what_runs(priced: Api) -> None:
    client = await priced.client(plan=Plan.STUDIO)
    batch_id = (await _submit(client, await _batch(client, 250))).json()["id"]
    claim = await _claim(priced)

    shown = (await client.call("POST", f"/batches/{batch_id}/cancel")).json()
    assert (shown["cancelled"], shown["remaining"]) == (249, 1)
    running = (await client.call("GET", f"/jobs/{claim.ref.job_id}")).json()
    assert running["cancelling"] is True
    assert await _ends(priced, client) == []

    await priced.factory.attempts().cancelled(claim.ref)
    [end] = await _ends(priced, client)
    assert end["cancelled"] == 250
    assert (await priced.factory.claiming().backlog(("builtin",))).lanes == ()
    assert (await client.call("GET", "/credits")).json()["reserved"] == 0
    assert await priced.factory.credit_audit().findings() == ()
    again = (await client.call("POST", f"/batches/{batch_id}/cancel")).json()
    assert again["cancelled"] == 250


async def test_retry_takes_what_came_to_nothing(api: Api, client: Client) -> None:
    body = await _batch(client, 3)
    first = (await _submit(client, body)).json()
    claim = await _claim(api)
    assert (await client.call("POST", f"/batches/{first['id']}/retry")).status_code == 409
    await _complete(api, claim)
    await client.call("POST", f"/batches/{first['id']}/cancel")

    answer = await client.call("POST", f"/batches/{first['id']}/retry", headers={"Idempotency-Key": "r"})
    again = await client.call("POST", f"/batches/{first['id']}/retry", headers={"Idempotency-Key": "r"})

    assert (answer.status_code, answer.json()["total"], again.content) == (202, 2, answer.content)
    retried = (await client.call("GET", f"/jobs?batch={answer.json()['id']}")).json()["jobs"]
    assert [job["retry_of"] for job in retried] == first["jobs"][:0:-1]
    shown = (await client.call("GET", f"/batches/{answer.json()['id']}")).json()
    assert shown["retry_of"] == first["id"]


async def test_batches_are_paged_newest_first(client: Client) -> None:
    ids = [(await _submit(client, await _batch(client, 1))).json()["id"] for _ in range(3)]
    page = (await client.call("GET", "/batches", params={"limit": "2"})).json()
    rest = (await client.call("GET", "/batches", params={"cursor": page["next_cursor"]})).json()
    assert [batch["id"] for batch in [*page["batches"], *rest["batches"]]] == ids[::-1]
    assert rest["next_cursor"] is None


async def test_expired_jobs_count(api: Api, client: Client) -> None:
    batch_id = (await _submit(client, await _batch(client, 2, expires_in_s=10))).json()["id"]
    assert await api.factory.waiting().expire() == 0
    api.context.database.clock_offset += timedelta(seconds=11)
    assert await api.factory.waiting().expire() == 2
    shown = (await client.call("GET", f"/batches/{batch_id}")).json()
    assert (shown["expired"], shown["remaining"]) == (2, 0)
    assert len(await _ends(api, client)) == 1
