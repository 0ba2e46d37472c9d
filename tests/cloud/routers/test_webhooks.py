"""Webhooks: told of every end, signed, tried for days, shown when dead, and sent again."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud.factory import Factory
from cloud.tables.webhook import WEBHOOK_DELIVERIES
from shared.api.accounts import Plan
from shared.jobs.events import Output, OutputKind
from shared.sdk.webhooks import WebhookMessage, verify
from tests.cloud.api import Api, Client, open_api, settings_for
from tests.support.https_server import Request, Site, SmallInternet, answer, small_internet

HOST = "hooks.example"
URL = f"https://{HOST}/told?token=t"
OUTPUT = Output("9", 0, OutputKind.IMAGE, "a.png", "image/png", 10, "b" * 64, 4, 4)
THREE_DAYS = timedelta(days=3)


@dataclass
class Hooks:
    api: Api
    client: Client
    internet: SmallInternet
    site: Site

    async def add(self, url: str = URL, **more: Any) -> tuple[str, str]:
        """Its id and its secret."""
        answered = await self.client.call("POST", "/webhooks", json={"url": url, **more})
        assert answered.status_code == 201, answered.text
        return answered.json()["webhook"]["id"], answered.json()["secret"]

    async def send(self) -> int:
        return await self.api.factory.webhook_sender().send_due()

    async def show(self, webhook: str) -> dict[str, Any]:
        return dict((await self.client.call("GET", f"/webhooks/{webhook}")).json())

    async def deliveries(self, webhook: str, state: str = "") -> list[dict[str, Any]]:
        query = f"?state={state}" if state else ""
        answered = await self.client.call("GET", f"/webhooks/{webhook}/deliveries{query}")
        assert answered.status_code == 200, answered.text
        return list(answered.json()["deliveries"])

    async def cancelled_job(self) -> str:
        job_id = await self.client.job_id()
        await self.client.call("POST", f"/jobs/{job_id}/cancel")
        return job_id

    async def taken_until(self) -> datetime:
        """Of the one delivery that is on its way."""
        column = WEBHOOK_DELIVERIES.c.taken_until
        query = select(column).where(column.is_not(None))
        return await self.api.context.database.read(lambda unit: unit.connection.execute(query).scalar_one())

    def now(self) -> datetime:
        """By the clock of the database."""
        return datetime.now(UTC) + self.api.context.database.clock_offset

    def later(self, by: timedelta) -> None:
        self.api.context.database.clock_offset += by


@pytest.fixture
async def hooks(database_url: str, tmp_path: Path) -> AsyncIterator[Hooks]:
    async with (
        small_internet(tmp_path) as internet,
        open_api(settings_for(database_url, tmp_path)) as api,
    ):
        api.context = replace(api.context, user_http=internet.http())
        yield Hooks(api, await api.client(plan=Plan.STUDIO), internet, await internet.site(HOST))


def _read(request: Request, secret: str) -> WebhookMessage:
    return verify(request.headers, request.body, secret)


async def test_every_end_is_told_signed(hooks: Hooks) -> None:
    webhook, secret = await hooks.add()
    job = await hooks.client.job_id()
    claiming, attempts = hooks.api.factory.claiming(), hooks.api.factory.attempts()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    claim = await claiming.claim(lane, worker="w")
    assert claim is not None
    await attempts.begin_saving(claim.ref)
    await attempts.complete(claim.ref, [OUTPUT])
    cancelled = await hooks.cancelled_job()

    assert await hooks.send() == 2

    told = {message.type: message for message in (_read(asked, secret) for asked in hooks.site.asked)}
    assert set(told) == {"job.completed", "job.cancelled"}
    completed: Any = told["job.completed"].data
    assert completed["job"] == {
        "id": job,
        "state": "completed",
        "preset": "noir",
        "batch": None,
        "price": 0,
    }
    assert completed["event"]["outputs"][0]["digest"] == "b" * 64
    assert told["job.cancelled"].data["job"]["id"] == cancelled  # type: ignore[index,call-overload]
    [first, _] = hooks.site.asked
    assert (first.method, first.target) == ("POST", "/told?token=t")
    assert hooks.client.key not in json.dumps([asked.headers for asked in hooks.site.asked])
    assert {delivery["state"] for delivery in await hooks.deliveries(webhook)} == {"delivered"}
    assert await hooks.send() == 0


async def test_end_of_a_batch_is_told_once(hooks: Hooks) -> None:
    _webhook, secret = await hooks.add(events=["batch.completed"])
    job = await hooks.client.body()
    items = [{"inputs": job["inputs"]}] * 3
    batch = (await hooks.client.call("POST", "/batches", json={"preset": "noir", "items": items})).json()
    await hooks.client.call("POST", f"/batches/{batch['id']}/cancel")

    await hooks.send()

    [asked] = hooks.site.asked
    message = _read(asked, secret)
    assert (message.type, message.data["batch"]) == (
        "batch.completed",
        {"id": batch["id"], "total": 3, "completed": 0, "failed": 0, "cancelled": 3, "expired": 0},
    )


async def test_only_what_was_asked_for_is_told_and_only_to_its_account(hooks: Hooks) -> None:
    await hooks.add(events=["job.failed"])
    other = await hooks.api.client("b@example.com")
    theirs = await other.call("POST", "/webhooks", json={"url": URL})
    await hooks.cancelled_job()
    assert await hooks.send() == 0
    shown = await hooks.client.call("GET", f"/webhooks/{theirs.json()['webhook']['id']}")
    assert shown.status_code == 404


async def test_tried_for_three_days_and_then_dead_and_replayed(hooks: Hooks) -> None:
    webhook, secret = await hooks.add()
    await hooks.cancelled_job()
    hooks.site.answers = [answer(500)]
    began = hooks.api.context.database.clock_offset
    assert await hooks.send() == 1
    while waiting := await hooks.deliveries(webhook, "waiting"):
        next_at = datetime.fromisoformat(waiting[0]["next_at"])
        hooks.later(next_at - hooks.now() - timedelta(seconds=2))
        assert await hooks.send() == 0
        hooks.later(timedelta(seconds=2))
        assert await hooks.send() == 1
    assert THREE_DAYS < hooks.api.context.database.clock_offset - began < THREE_DAYS * 1.2
    [dead] = await hooks.deliveries(webhook, "dead")
    assert (dead["tries"], dead["status"], dead["problem"]) == (10, 500, "it answered 500")
    assert (await hooks.show(webhook))["failing_since"] is not None

    hooks.site.answers = [answer(204)]
    asked_before = len(hooks.site.asked)
    again = await hooks.client.call("POST", f"/webhooks/{webhook}/deliveries/{dead['id']}/replay")
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    assert await hooks.send() == 1
    ids = {asked.headers["webhook-id"] for asked in hooks.site.asked}
    assert (ids, len(hooks.site.asked)) == ({dead["id"]}, asked_before + 1)
    assert _read(hooks.site.asked[-1], secret).id == dead["id"]
    assert (await hooks.show(webhook))["failing_since"] is None


async def test_webhook_that_takes_nothing_for_days_is_disabled(hooks: Hooks) -> None:
    webhook, _ = await hooks.add()
    await hooks.cancelled_job()
    hooks.site.answers = [answer(500)]
    await hooks.send()
    hooks.later(timedelta(days=5, hours=1))
    await hooks.cancelled_job()
    await hooks.send()
    shown = await hooks.show(webhook)
    assert shown["state"] == "disabled"
    assert shown["reason"] == "nothing was taken there for 5 days; the last time, it answered 500"
    dead = await hooks.deliveries(webhook, "dead")
    assert len(dead) == 2
    refused = await hooks.client.call("POST", f"/webhooks/{webhook}/deliveries/{dead[0]['id']}/replay")
    assert refused.status_code == 409


async def test_all_dead_since_a_time_are_replayed(hooks: Hooks) -> None:
    webhook, _ = await hooks.add()
    for _ in range(3):
        await hooks.cancelled_job()
    await hooks.client.call("POST", f"/webhooks/{webhook}/disable")
    assert len(await hooks.deliveries(webhook, "dead")) == 3
    await hooks.client.call("POST", f"/webhooks/{webhook}/enable")
    path = f"/webhooks/{webhook}/replay"
    later = await hooks.client.call("POST", path, json={"since": "2100-01-01T00:00:00Z"})
    assert later.json() == {"count": 0}
    replayed = await hooks.client.call("POST", path, json={"since": "2020-01-01T00:00:00Z"})
    assert replayed.json() == {"count": 3}
    assert await hooks.send() == 3


async def test_site_says_when_to_come_again(hooks: Hooks) -> None:
    webhook, _ = await hooks.add()
    await hooks.cancelled_job()
    hooks.site.answers = [answer(429, b"", Retry_After="3600"), answer(200)]
    await hooks.send()
    hooks.later(timedelta(minutes=50))
    assert await hooks.send() == 0
    hooks.later(timedelta(minutes=11))
    assert await hooks.send() == 1
    assert [item["state"] for item in await hooks.deliveries(webhook)] == ["delivered"]


async def test_site_that_is_gone_is_told_no_more_and_the_others_hear_of_it(hooks: Hooks) -> None:
    gone, _ = await hooks.add()
    other_site = await hooks.internet.site("other.example")
    _other, secret = await hooks.add("https://other.example/", events=["webhook.disabled"])
    await hooks.cancelled_job()
    hooks.site.answers = [answer(410)]
    await hooks.send()
    shown = await hooks.show(gone)
    assert (shown["state"], shown["reason"]) == ("disabled", "it answered 410: it is gone")
    await hooks.cancelled_job()
    await hooks.send()
    assert len(hooks.site.asked) == 1
    [asked] = other_site.asked
    message = _read(asked, secret)
    assert (message.type, message.data["webhook"]["id"]) == ("webhook.disabled", gone)  # type: ignore[index,call-overload]


async def test_rotated_secret_signs_beside_the_old_one_for_a_day(hooks: Hooks) -> None:
    webhook, old = await hooks.add()
    new = (await hooks.client.call("POST", f"/webhooks/{webhook}/rotate")).json()["secret"]
    assert new != old
    await hooks.cancelled_job()
    await hooks.send()
    for secret in (old, new):
        assert _read(hooks.site.asked[0], secret).type == "job.cancelled"
    hooks.later(timedelta(hours=25))
    await hooks.cancelled_job()
    await hooks.send()
    assert len(hooks.site.asked[1].headers["webhook-signature"].split()) == 1
    assert _read(hooks.site.asked[1], new).type == "job.cancelled"


async def test_ping(hooks: Hooks) -> None:
    webhook, secret = await hooks.add(events=["job.failed"])
    pinged = await hooks.client.call("POST", f"/webhooks/{webhook}/ping")
    assert (pinged.status_code, pinged.json()["event"]) == (202, "ping")
    await hooks.send()
    assert _read(hooks.site.asked[0], secret).id == pinged.json()["id"]


async def test_slow_site_delays_no_other(hooks: Hooks) -> None:
    held = asyncio.Event()

    async def slow(_request: Request, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer(200))

    hooks.site.answers = [slow]
    quick = await hooks.internet.site("quick.example")
    await hooks.add()
    await hooks.add("https://quick.example/")
    for _ in range(10):
        await hooks.cancelled_job()
    running = asyncio.create_task(hooks.api.factory.webhook_sender().run(poll_s=0.05))
    try:
        assert len(await quick.until(10)) == 10
        assert len(hooks.site.asked) <= 4
        held.set()
        assert len(await hooks.site.until(10)) == 10
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_delivery_whose_sender_died_comes_again_under_its_id(hooks: Hooks) -> None:
    """After it was sent, and before that was noted."""
    await hooks.add()
    await hooks.cancelled_job()
    taken = await hooks.api.context.database.write(
        lambda unit: unit.deliveries.take(most=10, each=4, busy={}, lease=timedelta(seconds=60))
    )
    assert len(taken) == 1
    assert await hooks.send() == 0
    hooks.later(timedelta(seconds=61))
    assert await hooks.send() == 1
    assert hooks.site.asked[0].headers["webhook-id"] == taken[0].message_id
    late = await hooks.api.context.database.write(
        lambda unit: unit.deliveries.again(taken[0], after=timedelta(0), status=None, problem="x")
    )
    assert late is False


async def test_slow_site_is_told_by_one_sender_as_long_as_that_lives(hooks: Hooks) -> None:
    """It says so in good time, and another that looks finds nothing."""
    held = asyncio.Event()

    async def slow(_request: Request, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer(200))

    hooks.site.answers = [slow]
    webhook, _ = await hooks.add()
    await hooks.cancelled_job()
    settings = hooks.api.context.settings.model_copy(update={"lease_s": 4.0})
    sender = Factory(replace(hooks.api.context, settings=settings)).webhook_sender()
    sending = asyncio.create_task(sender.send_due())
    await hooks.site.until(1)
    first = await hooks.taken_until()
    while await hooks.taken_until() == first:
        assert await hooks.send() == 0
    held.set()
    assert await sending == 1
    [delivery] = await hooks.deliveries(webhook)
    assert (delivery["state"], delivery["tries"], len(hooks.site.asked)) == ("delivered", 1, 1)


async def test_sender_that_is_stopped_hands_on_what_it_had(hooks: Hooks) -> None:
    async def silent(_request: Request, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    hooks.site.answers = [silent, answer(200)]
    webhook, _ = await hooks.add()
    await hooks.cancelled_job()
    running = asyncio.create_task(hooks.api.factory.webhook_sender().run())
    await hooks.site.until(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await hooks.send() == 1
    first, again = (request.headers["webhook-id"] for request in hooks.site.asked)
    assert first == again
    assert [delivery["state"] for delivery in await hooks.deliveries(webhook)] == ["delivered"]


@pytest.mark.parametrize("url", ["http://a.example/", "https://127.0.0.1/", "https://a.example:22/", "x"])
async def test_url_that_is_not_taken_names_the_field(hooks: Hooks, url: str) -> None:
    refused = await hooks.client.call("POST", "/webhooks", json={"url": url})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "url")


async def test_site_that_turns_out_to_be_ours_is_not_asked(hooks: Hooks) -> None:
    webhook, _ = await hooks.add()
    hooks.internet.addresses[HOST] = [["10.0.0.7"]]
    await hooks.cancelled_job()
    await hooks.send()
    [delivery] = await hooks.deliveries(webhook)
    assert (delivery["state"], delivery["problem"]) == ("waiting", f"{HOST} is not on the public internet")
    assert hooks.internet.dialled == []


async def test_webhooks_are_listed_removed_and_limited(hooks: Hooks) -> None:
    ids = [(await hooks.add())[0] for _ in range(20)]
    refused = await hooks.client.call("POST", "/webhooks", json={"url": URL})
    assert refused.status_code == 409
    listed = (await hooks.client.call("GET", "/webhooks")).json()["webhooks"]
    assert [webhook["id"] for webhook in listed] == ids
    assert "secret" not in json.dumps(listed).replace("old_secret_until", "")
    await hooks.client.call("DELETE", f"/webhooks/{ids[0]}")
    assert (await hooks.client.call("GET", f"/webhooks/{ids[0]}")).status_code == 404


async def test_secrets_lie_sealed(hooks: Hooks) -> None:
    _webhook, secret = await hooks.add()
    await hooks.cancelled_job()
    [taken] = await hooks.api.context.database.write(
        lambda unit: unit.deliveries.take(most=10, each=4, busy={}, lease=timedelta(seconds=1))
    )
    assert hooks.api.context.box.open(taken.secrets[0]) == secret
    assert secret[6:] not in taken.secrets[0]


async def test_old_deliveries_are_forgotten(hooks: Hooks) -> None:
    webhook, _ = await hooks.add()
    await hooks.cancelled_job()
    await hooks.send()
    sender = hooks.api.factory.webhook_sender()
    assert await sender.forget() == 0
    hooks.later(timedelta(days=8))
    assert await sender.forget() == 1
    assert await hooks.deliveries(webhook) == []
