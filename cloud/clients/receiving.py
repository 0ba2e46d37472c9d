"""Bytes that come over a network, into a file."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Received", "receive"]

_WRITE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """All that came."""

    digest: str
    bytes: int


async def receive(
    chunks: AsyncIterable[bytes], file: BinaryIO, *, require_size: Callable[[int], None]
) -> Received:
    """Written in large pieces, each in a thread. `require_size` is told how much has come, before any of it
    is kept, and raises where that is too much."""
    received, piece, hasher = 0, bytearray(), hashlib.sha256()

    def keep(data: bytes) -> None:
        hasher.update(data)
        file.write(data)

    async for chunk in chunks:
        received += len(chunk)
        require_size(received)
        piece += chunk
        if len(piece) >= _WRITE_BYTES:
            await asyncio.to_thread(keep, bytes(piece))
            piece.clear()
    await asyncio.to_thread(keep, bytes(piece))
    file.flush()
    return Received(hasher.hexdigest(), received)
