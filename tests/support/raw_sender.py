"""`python -m tests.support.raw_sender REDIS_URL CHANNEL`: every message to every socket, and nothing else.

It upgrades whoever connects, and prints its port.
"""

import asyncio
import base64
import hashlib
import sys
from typing import cast

from redis.asyncio import Redis

from tests.support.quick_loop import run_quickly

__all__ = ["frame_of"]

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455


def frame_of(text: bytes) -> bytes:
    """One text frame from a server."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    return bytes((0x81, 126)) + size.to_bytes(2, "big") + text


class _Upgrading(asyncio.Protocol):
    def __init__(self, open_ones: set[asyncio.Transport]) -> None:
        self._open_ones = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        key = next(line for line in data.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        digest = hashlib.sha1(key.split(b": ")[1] + _MAGIC, usedforsecurity=False).digest()
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        self._open_ones.add(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self._transport)


async def _send_on(redis_url: str, channel: str) -> None:
    open_ones: set[asyncio.Transport] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Upgrading(open_ones), "127.0.0.1", 0, backlog=2048
    )
    async with server, Redis.from_url(redis_url, socket_timeout=None) as redis, redis.pubsub() as ear:
        await ear.subscribe(channel)
        print(server.sockets[0].getsockname()[1], flush=True)
        async for message in ear.listen():
            if message["type"] == "message":
                frame = frame_of(message["data"])
                for transport in open_ones:
                    transport.write(frame)


if __name__ == "__main__":
    run_quickly(_send_on(*sys.argv[1:3]))
