import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import SafelightError
from shared.sdk.errors import (
    Conflict,
    EventsGone,
    NeedsCredits,
    NotAllowed,
    NotFound,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    SignInNeeded,
    TooLarge,
    Unreachable,
)
from shared.sdk.exchange import Request
from shared.sdk.transport import AsyncTransport, BlockingTransport, Steps
from tests.support.http_server import HttpServer, Reply, http_server

KEY = "sl_live_canary"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


def _once(request: Request) -> Steps[bytes]:
    answer = yield request
    return answer.body


@pytest.fixture(params=["async", "blocking"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _perform(face: str, server: HttpServer, request: Request) -> bytes:
    if face == "async":
        carrier = AsyncTransport(server_url=server.url, api_key=KEY)
        try:
            return await carrier.perform(_once(request))
        finally:
            await carrier.aclose()
    blocking = BlockingTransport(server_url=server.url, api_key=KEY)
    try:
        return blocking.perform(_once(request))
    finally:
        blocking.close()


def _envelope(code: str, **details: object) -> bytes:
    return json.dumps(
        {"error": {"code": code, "message": "say so", "details": details, "request_id": "r1"}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRefused),
        (401, SignInNeeded),
        (402, NeedsCredits),
        (403, NotAllowed),
        (404, NotFound),
        (409, Conflict),
        (410, EventsGone),
        (413, TooLarge),
        (422, RequestRefused),
    ],
)
async def test_a_refusal_is_typed_and_not_tried_again(
    face: str, server: HttpServer, status: int, kind: type[SafelightError]
) -> None:
    server.replies.append(Reply(status=status, body=_envelope("some_code", balance=3)))
    with pytest.raises(kind) as caught:
        await _perform(face, server, Request(method="GET", url="/x"))
    assert caught.value.message == "say so"
    assert caught.value.details == {"balance": 3}
    assert caught.value.wire_code == "some_code"  # type: ignore[attr-defined]
    assert len(server.asked) == 1


async def test_trouble_is_tried_again_until_it_passes(face: str, server: HttpServer) -> None:
    server.replies.extend(
        [
            Reply(status=503, body=_envelope("busy")),
            Reply(status=429, body=_envelope("slow_down"), headers={"Retry-After": "0.01"}),
            Reply(cut_at=0),
            Reply(body=b'{"ok": true}'),
        ]
    )
    assert await _perform(face, server, Request(method="GET", url="/x")) == b'{"ok": true}'
    assert len(server.asked) == 4


async def test_a_long_pause_is_the_callers_to_keep(face: str, server: HttpServer) -> None:
    server.replies.append(Reply(status=429, headers={"Retry-After": "900"}))
    with pytest.raises(RateLimited) as caught:
        await _perform(face, server, Request(method="GET", url="/x"))
    assert caught.value.retry_after_s == 900
    assert len(server.asked) == 1


async def test_trouble_that_does_not_pass_is_told_in_the_end(face: str, server: HttpServer) -> None:
    server.replies.extend([Reply(status=500, body=b"Internal Server Error", headers={})] * 6)
    with pytest.raises(ServerTrouble):
        await _perform(face, server, Request(method="POST", url="/x", json={}))
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "portal",
    [
        Reply(body=b"<html>sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"}),
        Reply(status=302, headers={"Location": "http://portal.example/"}),
        Reply(status=511, body=b"<html>", headers={"Content-Type": "text/html"}),
    ],
)
async def test_a_sign_in_page_of_the_network_is_tried_past(
    face: str, server: HttpServer, portal: Reply
) -> None:
    server.replies.extend([portal, Reply(body=b'{"ok": true}')])
    assert await _perform(face, server, Request(method="POST", url="/x")) == b'{"ok": true}'
    assert len(server.asked) == 2


async def test_no_answer_is_said_without_the_key(face: str) -> None:
    with http_server() as gone:
        pass
    with pytest.raises(Unreachable) as caught:
        await _perform(face, gone, Request(method="GET", url="/x"))
    assert KEY not in str(caught.value)


async def test_a_file_is_sent_with_its_length_and_again_from_its_start(
    face: str, server: HttpServer, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"x" * 600_000)
    server.replies.extend([Reply(status=503), Reply()])
    await _perform(face, server, Request(method="PUT", url="/a", upload=path))
    assert [asked.body for asked in server.asked] == [path.read_bytes()] * 2
    assert server.asked[0].headers["content-length"] == "600000"


async def test_a_download_that_broke_off_begins_again_at_its_place(face: str, server: HttpServer) -> None:
    body = bytes(range(256)) * 2000
    server.replies.extend([Reply(body=body, cut_at=100_000, headers={}), Reply(body=body, headers={})])
    sink = io.BytesIO()
    sink.write(b"before")
    assert await _perform(face, server, Request(method="GET", url="/a", sink=sink)) == b""
    assert sink.getvalue() == b"before" + body


async def test_the_key_goes_to_its_own_server_alone(face: str, server: HttpServer) -> None:
    with http_server() as stranger:
        stranger.replies.append(Reply())
        server.replies.append(Reply())
        await _perform(face, server, Request(method="GET", url=f"{stranger.url}/signed", signed=True))
        await _perform(face, server, Request(method="GET", url="/own"))
    assert "authorization" not in stranger.asked[0].headers
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
