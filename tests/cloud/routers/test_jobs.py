import asyncio
import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from cloud.repositories.unit import Unit
from cloud.services.callers import Scope
from cloud.services.retention import ANSWERS_KEPT
from shared.jobs.state import JobState
from tests.cloud.api import BASE, PRESET, Api, Client

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def test_accepted_job_is_queued_and_found(client: Client) -> None:
    body = await client.body(values={"glow": 12})
    answer = await client.submit(body, key="k1")

    accepted = answer.json()
    job_id = accepted["id"]
    assert answer.status_code == 202
    assert accepted == {
        "id": job_id,
        "state": "queued",
        "price": 0,
        "expected_s": None,
        "status_url": f"{BASE}/api/v1/jobs/{job_id}",
        "events_url": f"{BASE}/api/v1/jobs/{job_id}/events",
    }
    job = (await client.call("GET", f"/jobs/{job_id}")).json()
    assert (job["state"], job["preset"], job["attempt"], job["idempotency_key"]) == (
        "queued",
        PRESET,
        0,
        "k1",
    )
    assert job["inputs"] == body["inputs"]
    assert job["values"]["glow"] == 12
    assert len(job["values"]) > 1  # the defaults are filled in


async def test_repeat_is_given_the_same_answer(client: Client) -> None:
    body = await client.body()
    first = await client.submit(body, key="k1")
    again = await client.submit(body, key="k1")

    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


async def test_key_for_another_body_is_refused(client: Client) -> None:
    body = await client.body()
    await client.submit(body, key="k1")
    answer = await client.submit({**body, "values": {"glow": 0}}, key="k1")

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert len((await client.call("GET", "/jobs")).json()["jobs"]) == 1


async def test_refusal_frees_the_key(client: Client) -> None:
    body = await client.body()
    refused = await client.submit({**body, "preset": "nope"}, key="k1")
    accepted = await client.submit(body, key="k1")
    assert (refused.status_code, accepted.status_code) == (422, 202)


async def test_fifty_at_once_make_one_job(client: Client) -> None:
    body = await client.body()
    answers = await asyncio.gather(*(client.submit(body, key="k1") for _ in range(50)))

    assert {answer.status_code for answer in answers} <= {202, 409, 503}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert len((await client.call("GET", "/jobs")).json()["jobs"]) == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_repeat_while_the_first_is_in_flight_is_told_so(api: Api, client: Client) -> None:
    """The first transaction holds its key for longer than a second one waits."""
    body = await client.body()
    holding = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(unit: Unit) -> None:
        unit.idempotency.take(client.account_id, "k1", "d" * 64, "{}")
        loop.call_soon(holding.set)
        unit.connection.execute(text("SELECT pg_sleep(12)"))

    first = asyncio.create_task(api.context.database.write(hold))
    await holding.wait()
    answer = await client.submit(body, key="k1")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "in_flight")
    assert "Retry-After" in answer.headers
    assert (await client.submit(body, key="k1")).status_code == 202


async def test_keys_of_two_accounts_are_two(api: Api, client: Client) -> None:
    other = await api.client("b@example.com")
    mine = await client.submit(key="k1")
    theirs = await other.submit(key="k1")
    assert theirs.status_code == 202
    assert mine.json()["id"] != theirs.json()["id"]


async def test_jobs_are_paged_newest_first(client: Client) -> None:
    body = await client.body()
    ids = [(await client.submit(body)).json()["id"] for _ in range(5)]

    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await client.call("GET", "/jobs", params=params)).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        pages += 1
    assert (seen, pages) == (ids[::-1], 3)


async def test_jobs_are_found_by_key_state_and_preset(client: Client) -> None:
    body = await client.body()
    wanted = (await client.submit(body, key="k1")).json()["id"]
    other = (await client.submit(body, key="k2")).json()["id"]
    await client.call("POST", f"/jobs/{other}/cancel")

    async def found(**params: str) -> list[str]:
        page = (await client.call("GET", "/jobs", params=params)).json()
        return [job["id"] for job in page["jobs"]]

    assert await found(idempotency_key="k1") == [wanted]
    assert await found(state="cancelled") == [other]
    assert await found(preset=PRESET) == [other, wanted]
    assert await found(preset="cinematic") == []


async def test_waiting_job_is_cancelled_at_once_and_only_once(client: Client) -> None:
    job_id = await client.job_id()
    for _ in range(2):
        answer = await client.call("POST", f"/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


async def test_running_job_is_asked_to_end(api: Api, client: Client) -> None:
    job_id = await client.job_id()
    claiming = api.factory.claiming()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    assert await claiming.claim(lane, worker="w") is not None

    job = (await client.call("POST", f"/jobs/{job_id}/cancel")).json()
    assert (job["state"], job["cancelling"]) == ("processing", True)


async def test_retry_is_a_new_job_like_the_first(client: Client) -> None:
    job_id = await client.job_id()
    first = await client.call("POST", f"/jobs/{job_id}/retry", headers={"Idempotency-Key": "again"})
    again = await client.call("POST", f"/jobs/{job_id}/retry", headers={"Idempotency-Key": "again"})

    assert (first.status_code, again.content) == (202, first.content)
    retry = (await client.call("GET", f"/jobs/{first.json()['id']}")).json()
    old = (await client.call("GET", f"/jobs/{job_id}")).json()
    assert retry["retry_of"] == job_id
    assert (retry["inputs"], retry["values"]) == (old["inputs"], old["values"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"preset": "nope"}, "preset"),
        ({"preset": "portrait-pro"}, "preset"),
        ({"preset_version": "99.0.0"}, "preset_version"),
        ({"values": {"glow": math.inf}}, None),
        ({"values": {"glow": 10**9}}, "values.glow"),
        ({"values": {"glow": "much"}}, "values.glow"),
        ({"values": {"no_such": 1}}, "values.no_such"),
        ({"inputs": {}}, "inputs.photo"),
        ({"inputs": {"photo": []}}, "inputs.photo"),
        ({"inputs": {"picture": []}}, "inputs.picture"),
        ({"inputs": {"photo": [{"digest": "0" * 64, "name": "a.png"}]}}, "inputs.photo"),
        ({"inputs": {"photo": [{"digest": "0" * 64, "name": "a\x00.png"}]}}, "inputs.photo.0.name"),
        ({"inputs": {"photo": [{"digest": "../x", "name": "a.png"}]}}, "inputs.photo.0.digest"),
        ({"state": "completed"}, "state"),
        ({"account_id": UNKNOWN}, "account_id"),
        ({"price": 0}, "price"),
    ],
)
async def test_bad_job_is_refused_by_its_field(client: Client, change: dict[str, object], field: str) -> None:
    body = {**await client.body(), **change}
    answer = await client.call(
        "POST", "/jobs", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422, answer.text
    if field is not None:
        assert answer.json()["error"]["details"]["field"] == field
    assert (await client.call("GET", "/jobs")).json()["jobs"] == []


async def test_unknown_job_is_not_found(client: Client) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/events")):
        answer = await client.call(method, f"/jobs/{UNKNOWN}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_key_that_may_only_read_changes_nothing(api: Api, client: Client) -> None:
    job_id = await client.job_id()
    reader = await api.client(scopes=(Scope.READ,))

    assert (await reader.call("GET", f"/jobs/{job_id}")).json()["state"] == JobState.QUEUED
    for path in (f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/retry"):
        answer = await reader.call("POST", path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    assert (await reader.call("GET", f"/jobs/{job_id}")).json()["state"] == JobState.QUEUED


async def test_cursor_of_nobody_is_refused(client: Client) -> None:
    for cursor in ("x", "bi0x", "n" * 50, "bjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        answer = await client.call("GET", "/jobs", params={"cursor": cursor})
        assert answer.status_code == 422, cursor


async def test_idempotency_key_is_free_again_after_a_week(api: Api, client: Client) -> None:
    first = await client.submit(key="k")
    assert await api.factory.retention().forget_old_answers() == 0
    api.context.database.clock_offset += ANSWERS_KEPT + timedelta(seconds=1)

    assert await api.factory.retention().forget_old_answers() == 1
    again = await client.submit(key="k")

    assert again.status_code == 202
    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["id"] != first.json()["id"]


async def test_jobs_are_found_by_when_they_were_made(api: Api, client: Client) -> None:
    body = await client.body()
    old = (await client.submit(body)).json()["id"]
    api.context.database.clock_offset += timedelta(hours=2)
    new = (await client.submit(body)).json()["id"]
    between = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    async def found(**params: str) -> list[str]:
        page = await client.call("GET", "/jobs", params=params)
        assert page.status_code == 200, page.text
        return [job["id"] for job in page.json()["jobs"]]

    assert await found(created_from=between) == [new]
    assert await found(created_until=between) == [old]
    assert await found(created_from=between, created_until=between) == []
    refused = await client.call("GET", "/jobs", params={"created_from": "2026-11-21T12:00:00"})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "created_from")
    refused = await client.call("GET", "/jobs", params={"created_until": "0.5"})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "created_until")


async def test_job_expires_when_it_has_waited_as_long_as_it_may(api: Api, client: Client) -> None:
    job_id = (await client.submit(await client.body(expires_in_s=60))).json()["id"]
    api.context.database.clock_offset += timedelta(seconds=59)
    assert await api.factory.waiting().expire() == 0
    api.context.database.clock_offset += timedelta(seconds=2)
    assert await api.factory.waiting().expire() == 1
    job = (await client.call("GET", f"/jobs/{job_id}")).json()
    assert (job["state"], job["expires_at"] < job["finished_at"]) == ("expired", True)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1700000000"])
async def test_moments_beyond_the_calendar_are_refused(client: Client, moment: str) -> None:
    refused = await client.call("GET", "/jobs", params={"created_from": moment})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "created_from")
    replay = await client.call("POST", f"/webhooks/{'0' * 36}/replay", json={"since": moment})
    assert (replay.status_code, replay.json()["error"]["details"]["field"]) == (422, "since")
