"""One source of progress and a thousand sockets that want to know."""

import asyncio
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import asyncpg
from redis.asyncio import Redis

from cloud.clients.broadcast import Message, RedisBroadcast
from cloud.clients.redis_link import RedisLink
from shared.presets.bundle import shipped_presets_folder
from shared.sdk.blocking_client import BlockingCloudClient
from tests.bench.figure import Figure
from tests.support.cloud_processes import CloudProcesses
from tests.support.postgres import PostgresServer
from tests.support.quick_loop import run_quickly
from tests.support.redis import RedisServer

__all__ = ["measure"]

_PHOTO = shipped_presets_folder() / "samples" / "cat.jpg"
_SOCKETS = 1000
_AT_ONCE = 20
_WARM_UP = 2
_ROUNDS = 40
_PAUSE_S = 0.1
_OPEN_S = 60.0
_BUSY_S = 0.5
_CHANNEL = "bench"
_PING = b"\x89\x04"  # as our server sends them; no text has these bytes


def measure() -> list[Figure]:
    with (
        closing(PostgresServer()) as postgres,
        closing(RedisServer()) as redis,
        tempfile.TemporaryDirectory(prefix="safelight-bench-") as name,
    ):
        url = postgres.new_database()
        settings = {
            "SAFELIGHT_DATABASE_URL": url,
            "SAFELIGHT_REDIS_URL": redis.url,
            "SAFELIGHT_SECRET_KEY": "s" * 40,
            "SAFELIGHT_RATE_LIMITS": "false",
            "SAFELIGHT_LOG_LEVEL": "warning",
        }
        with closing(CloudProcesses(Path(name), settings)) as processes:
            processes.run("migrate")
            processes.run("users", "create", "bench@example.com", "--plan", "studio")
            key = processes.run("keys", "create")
            processes.serve("--no-worker")
            with BlockingCloudClient(server_url=processes.url, api_key=key) as client:
                job = client.submit_files("noir", {"photo": _PHOTO}).id
            with _raw_sender(redis.url) as port:
                return run_quickly(_measured(processes.url, key, job, redis.url, port, url))


async def _measured(
    url: str, key: str, job: str, redis_url: str, raw_port: int, database_url: str
) -> list[Figure]:
    account = await _account(database_url)
    link = RedisLink(url=redis_url)
    broadcast = RedisBroadcast(link=link)
    ours, raw = _Ears(), _Ears()
    head = f"GET /api/v1/jobs/{job}/events HTTP/1.1\r\nAuthorization: Bearer {key}\r\n"
    async with Redis.from_url(redis_url) as redis:
        await ours.open(int(url.rpartition(":")[2]), head, _SOCKETS)
        await raw.open(raw_port, "GET / HTTP/1.1\r\n", _SOCKETS)
        for number in range(_WARM_UP + _ROUNDS):
            body = f'{{"event":"progress","job_id":"{job}","attempt":1,"fraction":0.5,"sent":"{number:06d}"}}'
            for ears in (raw, ours):
                ears.expect()
                if ears is raw:
                    await redis.publish(_CHANNEL, body.encode())
                else:
                    await broadcast.publish(
                        Message(topic=account, key=job, kind="progress", body=body, slot="progress")
                    )
                await ears.all_heard()
                if number < _WARM_UP:
                    ears.taken_ms.clear()
                await asyncio.sleep(_PAUSE_S)
    ours.close()
    raw.close()
    await link.aclose()
    return [
        Figure(
            name=f"one event to {_SOCKETS:,} sockets (99 %)",
            value=ours.p99(),
            floor=raw.p99(),
            unit="ms",
            floor_name="the frame written to plain connections",
            goal_ratio=1.5,
        ),
        Figure(
            name=f"one event to {_SOCKETS:,} sockets (99 %)",
            value=ours.p99(),
            floor=raw.p99(),
            unit="ms",
            floor_name="the frame written to plain connections",
            goal_value=30.0,
        ),
    ]


class _Ears:
    """Connections that only note when something comes."""

    def __init__(self) -> None:
        self.taken_ms: list[float] = []
        self._connections: list[_Ear] = []
        self._begun = 0.0
        self._left = 0
        self._heard = asyncio.Event()
        self.is_open = False

    async def open(self, port: int, head: str, count: int) -> None:
        """Some at once: each costs the server a few questions."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one() -> None:
            async with places, asyncio.timeout(_OPEN_S):
                self._connections.append(await self._opened(port, f"{head}Host: 127.0.0.1:{port}\r\n"))

        await asyncio.gather(*(one() for _ in range(count)))
        await asyncio.sleep(1)  # what is replayed to each of them goes first
        self.is_open = True

    async def _opened(self, port: int, head: str) -> "_Ear":
        """Again where the server is busy and says so."""
        while True:
            ear = _Ear(self)
            await asyncio.get_running_loop().create_connection(lambda: ear, "127.0.0.1", port)  # noqa: B023
            answer = await ear.upgrade(head)
            if answer.startswith(b"HTTP/1.1 101"):
                return ear
            assert answer.startswith(b"HTTP/1.1 503"), answer
            await asyncio.sleep(_BUSY_S)

    def expect(self) -> None:
        self._left = len(self._connections)
        self._heard.clear()
        self._begun = time.perf_counter()

    def heard_one(self) -> None:
        self.taken_ms.append((time.perf_counter() - self._begun) * 1000)
        self._left -= 1
        if not self._left:
            self._heard.set()

    async def all_heard(self) -> None:
        async with asyncio.timeout(10):
            await self._heard.wait()

    def p99(self) -> float:
        return statistics.quantiles(self.taken_ms, n=100)[98]

    def close(self) -> None:
        for connection in self._connections:
            connection.transport.close()


class _Ear(asyncio.Protocol):
    def __init__(self, ears: _Ears) -> None:
        self._ears = ears
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    async def upgrade(self, head: str) -> bytes:
        """What the server says to it."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"{head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        return await self._answer

    def data_received(self, data: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result(data)
            return
        if (ping := data.find(_PING)) >= 0:
            payload = data[ping + len(_PING) :][:4]
            self.transport.write(b"\x8a\x84" + bytes(4) + payload)  # masked with nothing
        if self._ears.is_open and b'"sent"' in data:
            self._ears.heard_one()


async def _account(database_url: str) -> str:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        return str(await connection.fetchval("SELECT id FROM accounts"))
    finally:
        await connection.close()


@contextmanager
def _raw_sender(redis_url: str) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.raw_sender", redis_url, _CHANNEL],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
