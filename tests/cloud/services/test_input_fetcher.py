"""Files that jobs name by URL: fetched, looked at and stored before the job gets in line."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud.factory import Factory
from cloud.repositories.jobs import InputUrl, NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.callers import COMMAND_LINE
from cloud.tables.input_fetch import INPUT_FETCHES
from shared.api.accounts import Plan
from shared.files import digest_bytes
from shared.ids import new_id
from tests.cloud.api import PRESET, Api, Client, open_api, picture, settings_for
from tests.support.https_server import Request, Site, SmallInternet, answer, small_internet

HOST = "pictures.example"
URL = f"https://{HOST}/a.png"
RED = picture("red")


@dataclass
class Desk:
    api: Api
    client: Client
    internet: SmallInternet
    site: Site

    def body(self, *urls: str, **more: Any) -> dict[str, Any]:
        photos = [{"url": url, "name": "a.png"} for url in urls or (URL,)]
        return {"preset": PRESET, "inputs": {"photo": photos}, **more}

    async def submit(self, *urls: str, key: str | None = None) -> str:
        answered = await self.client.submit(self.body(*urls), key=key)
        assert answered.status_code == 202, answered.text
        return str(answered.json()["id"])

    async def fetch(self) -> int:
        return await self.api.factory.input_fetcher().fetch_due()

    async def show(self, job: str) -> dict[str, Any]:
        return dict((await self.client.call("GET", f"/jobs/{job}")).json())

    async def waiting(self) -> list[int]:
        """How many jobs wait in the lanes that workers look at."""
        lanes = (await self.api.factory.claiming().backlog(("builtin",))).lanes
        return [lane.waiting for lane in lanes]

    async def lanes(self) -> dict[str, int]:
        def work(unit: Unit) -> dict[str, int]:
            return {lane.pool: lane.waiting for lane in unit.lanes.backlog(["builtin", ":inputs"]).lanes}

        return await self.api.context.database.read(work)

    async def taken_until(self) -> datetime:
        """Of the one file that is on its way."""
        query = select(INPUT_FETCHES.c.taken_until)
        return await self.api.context.database.read(lambda unit: unit.connection.execute(query).scalar_one())

    def later(self, by: timedelta) -> None:
        self.api.context.database.clock_offset += by


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with (
        small_internet(tmp_path) as internet,
        open_api(settings_for(database_url, tmp_path), price=3) as api,
    ):
        api.context = replace(api.context, user_http=internet.http())
        await api.context.inspector.start()
        site = await internet.site(HOST)
        site.answers = [answer(200, RED)]
        yield Desk(api, await api.client(plan=Plan.STUDIO), internet, site)


async def test_job_gets_in_line_when_its_file_is_here(desk: Desk) -> None:
    job = await desk.submit()
    shown = await desk.show(job)
    assert (shown["state"], shown["inputs"]) == (
        "queued",
        {"photo": [{"url": URL, "name": "a.png"}]},
    )
    assert (await desk.waiting(), await desk.lanes()) == ([], {":inputs": 1})
    why = (await desk.client.call("GET", f"/jobs/{job}/waiting")).json()["reasons"]
    assert [reason["code"] for reason in why] == ["fetching_inputs"]

    assert await desk.fetch() == 1

    assert (await desk.waiting(), await desk.lanes()) == ([1], {"builtin": 1})
    digest = digest_bytes(RED)
    assert (await desk.show(job))["inputs"]["photo"] == [{"digest": digest, "name": "a.png"}]
    artifact = (await desk.client.call("GET", f"/artifacts/{digest}")).json()
    assert (artifact["state"], artifact["width"]) == ("ready", 32)
    claiming = desk.api.factory.claiming()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    claim = await claiming.claim(lane, worker="w")
    assert claim is not None
    assert [file.digest for file in claim.inputs["photo"]] == [digest]
    assert await desk.fetch() == 0


async def test_urls_that_are_never_asked_are_refused_at_once(desk: Desk) -> None:
    for url in ("http://a.example/x.png", "https://127.0.0.1/", "https://user:pass@a.example/"):
        refused = await desk.client.submit(desk.body(url))
        error = refused.json()["error"]
        assert (refused.status_code, error["details"]["field"]) == (422, "inputs.photo"), url
    for file in ({"name": "a"}, {"digest": "0" * 64, "url": URL, "name": "a"}):
        refused = await desk.client.submit({"preset": PRESET, "inputs": {"photo": [file]}})
        assert refused.status_code == 422
    assert await desk.lanes() == {}


async def test_what_cannot_be_had_fails_the_job_and_costs_nothing(desk: Desk) -> None:
    desk.internet.addresses["near.example"] = [["10.0.0.1"]]
    cases = [
        (answer(404), URL, "answered 404"),
        (answer(302, b"", Location="http://localhost/"), URL, "redirect"),
        (answer(200, b"<html>sign in</html>"), URL, "a.png could not be fetched"),
        (answer(200, RED[:-20]), URL, "a.png could not be fetched"),
        (answer(200, RED), "https://near.example/", "not on the public internet"),
    ]
    for reply, url, problem in cases:
        desk.site.answers = [reply]
        job = await desk.submit(url)
        assert await desk.fetch() == 1
        shown = await desk.show(job)
        assert (shown["state"], shown["failure"]["code"]) == ("failed", "input_unavailable"), problem
        assert problem in shown["failure"]["message"]
        assert shown["failure"]["retryable"] is False
        assert shown["receipt"]["released_at"] is not None
    assert await desk.lanes() == {}
    assert (await desk.client.call("GET", "/credits")).json()["reserved"] == 0


async def test_file_of_the_wrong_kind_fails_the_job(desk: Desk) -> None:
    desk.site.answers = [answer(200, b'{"prompt": "no picture"}')]
    job = await desk.submit()
    await desk.fetch()
    failure = (await desk.show(job))["failure"]
    assert failure["code"] == "input_unavailable"


async def test_site_in_trouble_is_asked_again_for_some_time(desk: Desk) -> None:
    job = await desk.submit()
    desk.site.answers = [answer(503, b"", Retry_After="60"), answer(500), answer(200, RED)]
    assert await desk.fetch() == 1
    desk.later(timedelta(seconds=50))
    assert await desk.fetch() == 0
    desk.later(timedelta(seconds=11))
    assert await desk.fetch() == 1
    assert (await desk.show(job))["state"] == "queued"
    desk.later(timedelta(seconds=31))
    assert await desk.fetch() == 1
    assert await desk.lanes() == {"builtin": 1}

    desk.site.answers = [answer(500)]
    other = await desk.submit()
    tries = 0
    while (await desk.show(other))["state"] == "queued":
        tries += await desk.fetch()
        desk.later(timedelta(minutes=31))
    shown = await desk.show(other)
    assert (tries, shown["failure"]["retryable"]) == (6, True)
    assert shown["failure"]["message"] == f"a.png could not be fetched: {HOST} answered 500"

    desk.site.answers = [answer(200, RED)]
    retried = (await desk.client.call("POST", f"/jobs/{other}/retry")).json()["id"]
    await desk.fetch()
    assert (await desk.show(retried))["inputs"]["photo"][0]["digest"] == digest_bytes(RED)


async def test_repeated_request_fetches_once(desk: Desk) -> None:
    first, again = [await desk.submit(key="k") for _ in range(2)]
    assert first == again
    assert await desk.fetch() == 1
    assert await desk.fetch() == 0
    other = await desk.client.submit(desk.body(URL + "?2"), key="k")
    assert other.json()["error"]["code"] == "idempotency_key_reused"


async def test_cancelled_while_it_is_fetched(desk: Desk) -> None:
    held = asyncio.Event()

    async def slow(_request: Request, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer(200, RED))

    desk.site.answers = [slow]
    job = await desk.submit()
    fetching = asyncio.create_task(desk.fetch())
    await desk.site.until(1)
    cancelled = await desk.client.call("POST", f"/jobs/{job}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    held.set()
    await fetching
    assert ((await desk.show(job))["state"], await desk.lanes()) == ("cancelled", {})
    assert await desk.api.factory.input_fetcher().forget() == 1
    assert await desk.fetch() == 0
    assert (await desk.client.call("GET", "/credits")).json()["reserved"] == 0


async def test_expires_while_it_waits_for_its_file(desk: Desk) -> None:
    job = await desk.submit()
    desk.later(timedelta(days=8))
    assert await desk.api.factory.waiting().expire() == 1
    assert await desk.fetch() == 0
    assert ((await desk.show(job))["state"], await desk.lanes()) == ("expired", {})


async def test_fetch_whose_process_died_is_taken_over(desk: Desk) -> None:
    await desk.submit()
    database = desk.api.context.database
    lease = timedelta(seconds=60)
    [left] = await database.write(lambda unit: unit.fetches.take(most=5, each=5, busy={}, lease=lease))
    assert await desk.fetch() == 0
    desk.later(timedelta(seconds=61))
    assert await desk.fetch() == 1
    assert await desk.lanes() == {"builtin": 1}
    assert await database.write(lambda unit: unit.fetches.arrived(left, "0" * 64)) is None


async def test_slow_file_is_fetched_by_one_process_as_long_as_that_lives(desk: Desk) -> None:
    """It says so in good time, and another that looks finds nothing."""
    held = asyncio.Event()

    async def slow(_request: Request, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer(200, RED))

    desk.site.answers = [slow]
    await desk.submit()
    settings = desk.api.context.settings.model_copy(update={"lease_s": 16.0})  # renewed after 4 s
    fetcher = Factory(replace(desk.api.context, settings=settings)).input_fetcher()
    fetching = asyncio.create_task(fetcher.fetch_due())
    await desk.site.until(1)
    first = await desk.taken_until()
    while await desk.taken_until() == first:
        assert await desk.fetch() == 0
    held.set()
    assert await fetching == 1
    assert (await desk.lanes(), len(desk.site.asked)) == ({"builtin": 1}, 1)


async def test_process_that_is_stopped_hands_on_what_it_fetched(desk: Desk) -> None:
    async def silent(_request: Request, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    desk.site.answers = [silent, answer(200, RED)]
    await desk.submit()
    running = asyncio.create_task(desk.api.factory.input_fetcher().run())
    await desk.site.until(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await desk.fetch() == 1
    assert await desk.lanes() == {"builtin": 1}


async def test_batch_of_urls_ends_with_what_could_be_had(desk: Desk) -> None:
    other = await desk.internet.site("other.example")
    other.answers = [answer(404)]
    digest = await desk.client.known_picture()
    items = [
        {"inputs": {"photo": [{"url": URL, "name": "1.png"}]}},
        {"inputs": {"photo": [{"url": "https://other.example/2.png", "name": "2.png"}]}},
        {"inputs": {"photo": [{"digest": digest, "name": "3.png"}]}},
    ]
    batch = (await desk.client.call("POST", "/batches", json={"preset": PRESET, "items": items})).json()
    assert await desk.lanes() == {":inputs": 2, "builtin": 1}
    assert await desk.fetch() == 2
    assert await desk.lanes() == {"builtin": 2}
    shown = (await desk.client.call("GET", f"/batches/{batch['id']}")).json()
    assert (shown["failed"], shown["remaining"]) == (1, 2)
    assert await desk.api.factory.credit_audit().findings() == ()


async def test_graph_of_ones_own_gets_its_file_too(desk: Desk) -> None:
    user = await desk.api.factory.users().find("a@example.com")
    await desk.api.factory.accounts().allow_graphs(COMMAND_LINE, user, allowed=True)
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    jobs = []
    for reply in (answer(200, RED), answer(200, b"a text, and no picture\n")):
        desk.site.answers = [reply]
        body = {"graph": graph, "inputs": {"1.image": [{"url": URL, "name": "a.png"}]}}
        jobs.append((await desk.client.submit(body)).json()["id"])
        assert await desk.fetch() == 1
    assert await desk.lanes() == {"builtin": 1}
    assert [(await desk.show(job))["state"] for job in jobs] == ["queued", "failed"]


async def test_files_of_one_job_that_come_at_once(desk: Desk) -> None:
    """Each counts what is left after the other: exactly one sees the last."""
    database, lease = desk.api.context.database, timedelta(seconds=60)
    for _ in range(5):
        job_id = await database.write(lambda unit: _two_files(unit, desk.client.account_id))
        taken = await database.write(lambda unit: unit.fetches.take(most=9, each=9, busy={}, lease=lease))
        assert [fetch.job_id for fetch in taken] == [job_id] * 2
        left = await asyncio.gather(
            *(
                database.write(lambda unit, one=one: unit.fetches.arrived(one, str(one.position) * 64))
                for one in taken
            )
        )
        assert sorted(count for count in left if count is not None) == [0, 1]
        shown = await desk.show(job_id)
        assert [file["digest"] for file in shown["inputs"]["photo"]] == ["0" * 64, "1" * 64]


def _two_files(unit: Unit, account_id: str) -> str:
    job = NewJob(
        id=new_id(),
        lane=Lane(":inputs", 0, account_id, PRESET),
        preset_version="1.0.0",
        preset_digest="d" * 64,
        values={},
        inputs={"photo": (InputUrl(URL, "a.png"), InputUrl(URL, "b.png"))},
        enters="builtin",
    )
    unit.jobs.add(job)
    unit.lanes.enter(job.lane)
    unit.fetches.add([job])
    return job.id
