"""What a Redis that stands still costs those who ask it."""

import asyncio
from time import monotonic

from cloud.clients.redis_link import RedisLink


async def test_redis_that_answers_nothing_is_waited_for_once() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = RedisLink(url=f"redis://127.0.0.1:{port}/0")
        begun = monotonic()
        assert not await link.publish("bell", b"")
        waited = monotonic() - begun
        for _ in range(50):
            assert not await link.publish("bell", b"")
            assert await link.count("key", beside="other", seconds=60) is None
        assert monotonic() - begun < 20 * waited, "a hundred were asked"
        await link.aclose()
