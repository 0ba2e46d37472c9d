"""Clients that dawdle, over real connections."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cloud.api import settings_for
from tests.cloud.served import Served, served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PATIENCE_S = 0.3
PART = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: "


@pytest.fixture
async def server(tmp_path: Path, database_url: str) -> AsyncIterator[Served]:
    settings = settings_for(database_url, tmp_path, client_patience_s=PATIENCE_S, max_head_bytes=4096)
    async with served(settings) as opened:
        yield opened


@pytest.fixture
async def patient(tmp_path: Path, database_url: str) -> AsyncIterator[Served]:
    settings = settings_for(database_url, tmp_path, client_patience_s=3600, max_head_bytes=4096)
    async with served(settings) as opened:
        yield opened


async def _sent(server: Served, *parts: bytes, pause_s: float = 0) -> tuple[bytes, float]:
    """What comes back until the server closes, and after how long it does."""
    begun = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(60):
            answer = await reader.read()
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    return answer, asyncio.get_running_loop().time() - begun


@pytest.mark.parametrize("sent", [b"", b"GET /health HTT", PART])
async def test_head_that_does_not_come_is_not_waited_for(server: Served, sent: bytes) -> None:
    answer, seconds = await _sent(server, sent)
    assert answer == b""
    assert seconds >= PATIENCE_S * 0.9


async def test_head_that_comes_in_drops_is_not_waited_for(server: Served) -> None:
    answer, seconds = await _sent(server, PART, *[b"x"] * 50, pause_s=PATIENCE_S / 10)
    assert answer == b""
    assert seconds >= PATIENCE_S * 0.9


async def test_head_without_end_is_cut_off(patient: Served) -> None:
    """By its size: time enough is left."""
    answer, _ = await _sent(patient, b"GET /health HTTP/1.1\r\nX-A: ", b"x" * 100_000)
    assert answer == b""


async def test_body_that_stops_is_answered(server: Served) -> None:
    head = (
        f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.client.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    answer, _ = await _sent(server, head.encode(), b'{"preset":')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too_slow"' in answer


async def test_two_requests_on_one_connection_are_answered(patient: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", patient.port)
    for _ in range(2):
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readuntil(b'{"status":"alive"}')).startswith(b"HTTP/1.1 200 ")
    writer.close()
