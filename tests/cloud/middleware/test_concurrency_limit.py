"""More requests than can be worked on at once, against an application that answers when it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from cloud.middleware.concurrency_limit import ConcurrencyLimit


class _Slow:
    """Says what it was sent, once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += 1
        message = await receive()
        await self.may.wait()
        await PlainTextResponse(message["body"])(scope, receive, send)
        self.open -= 1


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - the application has no event to tell it by
            await asyncio.sleep(0)


def client_of(app: _Slow, *, wait_s: float = 60.0) -> httpx.AsyncClient:
    admission = ConcurrencyLimit(app, at_once=2, waiting=1, wait_s=wait_s, exempt=("/health",))
    return httpx.AsyncClient(transport=httpx.ASGITransport(admission), base_url="http://cloud")


async def test_what_is_too_much_is_refused_and_the_rest_is_answered() -> None:
    app = _Slow()
    async with client_of(app) as client:
        asked = [asyncio.create_task(client.post("/jobs", content=f"{number}")) for number in range(3)]
        await until(lambda: app.open == 2)
        await asyncio.sleep(0)
        refused = await client.post("/jobs", content="one too many")
        app.may.set()
        answered = await asyncio.gather(*asked)
        after = await client.post("/jobs", content="later")
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["Retry-After"]) <= 3
    assert refused.json()["error"]["code"] == "overloaded"
    assert [answer.text for answer in answered] == ["0", "1", "2"]
    assert after.text == "later"


async def test_nobody_waits_longer_than_is_said() -> None:
    app = _Slow()
    async with client_of(app, wait_s=0.01) as client:
        asked = [asyncio.create_task(client.get("/jobs")) for _ in range(3)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        app.may.set()
        answered = await asyncio.gather(*asked)
        after = [await client.get("/jobs") for _ in range(3)]
    assert [answer.result().status_code for answer in done] == [503]
    assert sorted(answer.status_code for answer in answered) == [200, 200, 503]
    assert [answer.status_code for answer in after] == [200, 200, 200]


async def test_client_that_leaves_while_it_waits_leaves_its_place() -> None:
    app = _Slow()
    async with client_of(app) as client:
        asked = [asyncio.create_task(client.get("/jobs")) for _ in range(3)]
        await until(lambda: app.open == 2)
        asked[2].cancel()
        await asyncio.wait([asked[2]])
        app.may.set()
        await asyncio.gather(*asked[:2])
        answered = await asyncio.gather(client.get("/jobs"), client.get("/jobs"))
    assert [answer.status_code for answer in answered] == [200, 200]


async def test_probes_streams_and_transfers_take_no_place() -> None:
    app = _Slow()
    app.may.set()
    async with client_of(app) as client:
        app.may.clear()
        asked = [asyncio.create_task(client.get("/jobs")) for _ in range(3)]
        await until(lambda: app.open == 2)
        free = [
            asyncio.create_task(client.get("/health")),
            asyncio.create_task(client.get("/api/v1/events")),
            asyncio.create_task(client.put("/api/v1/artifacts/a", content="bytes")),
        ]
        await until(lambda: app.open == 5)
        app.may.set()
        answered = await asyncio.gather(*asked, *free)
    assert {answer.status_code for answer in answered} == {200}


async def test_place_is_taken_once_the_body_is_there() -> None:
    app = _Slow()
    app.may.set()
    coming = asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        yield b"slow"
        await coming.wait()

    async with client_of(app) as client:
        slow = [asyncio.create_task(client.post("/jobs", content=slow_body())) for _ in range(2)]
        await asyncio.sleep(0)
        quick = await client.post("/jobs", content="quick")
        coming.set()
        answered = await asyncio.gather(*slow)
    assert quick.text == "quick"
    assert {answer.status_code for answer in answered} == {200}
