"""What an account may do and spend, as its owner sees it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.services import plans
from cloud.services.callers import COMMAND_LINE
from cloud.services.periods import period_end, period_of
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.files import digest_bytes
from shared.jobs.events import Output, OutputKind
from tests.cloud.api import BASE, PRESET, Api, Client, open_api, picture, settings_for

FREE = entitlements_of(Plan.FREE)
OUTPUT = Output("9", 0, OutputKind.IMAGE, "a.png", "image/png", 10, "b" * 64, 4, 4)


@pytest.fixture
async def priced(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Where a job of the preset costs as much as the plan `free` has in a month."""
    async with open_api(settings_for(database_url, tmp_path), price=FREE.credits_per_month) as opened:
        yield opened


async def _end(api: Api, *, completed: bool) -> None:
    claiming, attempts = api.factory.claiming(), api.factory.attempts()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    claim = await claiming.claim(lane, worker="w")
    assert claim is not None
    await attempts.begin_saving(claim.ref)
    if completed:
        await attempts.complete(claim.ref, [OUTPUT])
    else:
        await attempts.fail(claim.ref, code="x", message="x", retryable=False)


async def test_account_shows_its_plan(api: Api, client: Client) -> None:
    await client.job_id()
    shown = (await client.call("GET", "/account")).json()
    period = period_of(datetime.now(UTC))
    assert (shown["id"], shown["plan"]) == (client.account_id, "free")
    assert shown["usage"]["jobs"] == 1
    assert datetime.fromisoformat(shown["usage"]["period_ends_at"]) == period_end(period)
    assert shown["limits"]["concurrency"] == FREE.concurrency
    assert shown["limits"]["raw_graphs"] is False


async def test_changed_plan_counts_at_once(api: Api, client: Client) -> None:
    user = await api.factory.users().find("a@example.com")
    await api.factory.accounts().set_plan(COMMAND_LINE, user, Plan.STUDIO)
    shown = (await client.call("GET", "/account")).json()
    assert (shown["plan"], shown["limits"]["jobs_per_month"]) == ("studio", None)
    balance = (await client.call("GET", "/credits")).json()
    assert balance["available"] == entitlements_of(Plan.STUDIO).credits_per_month


async def test_price_is_quoted_fixed_and_captured(priced: Api) -> None:
    client = await priced.client()
    quote = (await client.call("GET", f"/presets/{PRESET}/quote")).json()
    accepted = (await client.submit()).json()
    await _end(priced, completed=True)

    job = (await client.call("GET", f"/jobs/{accepted['id']}")).json()
    assert quote["price"] == accepted["price"] == job["price"] == FREE.credits_per_month
    assert quote["basis"] == job["receipt"]["basis"] | {"kind": "declared"}
    assert job["receipt"]["reserved_at"] <= job["receipt"]["captured_at"]
    assert job["receipt"]["released_at"] is None
    [attempt] = job["attempts"]
    assert (attempt["number"], attempt["end"]) == (1, "completed")
    assert (await client.call("GET", "/credits")).json()["available"] == 0


async def test_failed_job_costs_nothing(priced: Api) -> None:
    client = await priced.client()
    job_id = (await client.submit()).json()["id"]
    await _end(priced, completed=False)
    receipt = (await client.call("GET", f"/jobs/{job_id}")).json()["receipt"]
    assert (receipt["captured_at"], receipt["released_at"] is None) == (None, False)
    assert (await client.call("GET", "/credits")).json()["available"] == FREE.credits_per_month
    kinds = [entry["kind"] for entry in (await client.call("GET", "/credits/entries")).json()["entries"]]
    assert kinds == ["release", "reserve", "grant"]


async def test_fifty_submissions_at_once_spend_the_last_credits_once(priced: Api) -> None:
    client = await priced.client()
    body = await client.body()
    answers = await asyncio.gather(*(client.submit(body, key=f"k{number}") for number in range(50)))

    statuses = [answer.status_code for answer in answers]
    assert statuses.count(202) == 1
    assert set(statuses) - {503} == {202, 402}  # a busy database may ask for patience
    refused = next(answer for answer in answers if answer.status_code == 402).json()["error"]
    assert refused["code"] == "needs_credits"
    assert refused["details"] == {
        "balance": 0,
        "price": FREE.credits_per_month,
        "link": f"{BASE}/account",
    }
    assert len((await client.call("GET", "/jobs")).json()["jobs"]) == 1
    assert await priced.factory.credit_audit().findings() == ()
    keys = [f"k{number}" for number, answer in enumerate(answers) if answer.status_code == 402]
    again = await client.submit(body, key=keys[0])  # a refusal frees its key
    assert again.status_code == 402


async def test_higher_price_than_wanted_is_refused(priced: Api) -> None:
    client = await priced.client()
    answer = await client.submit(await client.body(max_price=1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "price_changed")
    assert (await client.submit(await client.body(max_price=FREE.credits_per_month))).status_code == 202


async def test_what_the_plan_has_not_is_refused(client: Client) -> None:
    urgent = await client.submit(await client.body(priority="high"))
    assert (urgent.status_code, urgent.json()["error"]["code"]) == (402, "plan_limit")
    patient = await client.submit(await client.body(expires_in_s=FREE.queue_time.days * 86400 + 1))
    assert (patient.status_code, patient.json()["error"]["details"]["field"]) == (422, "expires_in_s")


async def test_urgent_jobs_come_first(api: Api) -> None:
    studio = await api.client("s@example.com", plan=Plan.STUDIO)
    for priority in ("low", "normal", "high"):
        assert (await studio.submit(await studio.body(priority=priority))).status_code == 202
    lanes = (await api.factory.claiming().backlog(("builtin",))).lanes
    assert sorted(lane.priority for lane in lanes) == [5, 10, 15]


async def test_files_larger_than_the_plan_takes_are_refused(api: Api, client: Client) -> None:
    body = {"digest": "1" * 64, "bytes": FREE.max_upload_bytes + 1}
    answer = await client.call("POST", "/artifacts", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["details"]["max_bytes"]) == (413, FREE.max_upload_bytes)
    studio = await api.client("s@example.com", plan=Plan.STUDIO)
    assert (await studio.call("POST", "/artifacts", json=body)).status_code == 200


async def test_pictures_with_more_pixels_than_the_plan_takes_are_refused(
    api: Api, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(FREE, max_pixels=32 * 24 - 1)
    monkeypatch.setitem(plans._PLANS, Plan.FREE, small)
    data = picture()
    link = (await client.announce(data))["upload"]
    await client.http.request(link["method"], link["url"], headers=link["headers"], content=data)
    refused = await client.call("POST", f"/artifacts/{digest_bytes(data)}/complete")
    assert (refused.status_code, refused.json()["error"]["details"]["max_pixels"]) == (413, 32 * 24 - 1)

    body = await client.body()  # was taken when the plan was larger
    answer = await client.submit(body)
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (413, "inputs.photo")

    monkeypatch.setitem(plans._PLANS, Plan.FREE, FREE)
    assert (await client.submit(body)).status_code == 202


async def test_audit_finds_what_does_not_add_up(priced: Api) -> None:
    client = await priced.client()
    await client.submit()
    await _end(priced, completed=False)
    account = client.account_id
    await priced.context.database.write(lambda unit: unit.credits.change(account, topped_up=5))
    [finding] = await priced.factory.credit_audit().findings()
    assert (finding.what, finding.account_id) == ("the entries do not add up to the balance", account)
    assert await priced.factory.credit_audit().go_on() == 1
