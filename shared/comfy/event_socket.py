"""The socket of one client id, read in a task of its own and opened again whenever it fails."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.frames import CloseCode

from shared.comfy.address import ServerAddress
from shared.comfy.messages import WireMessage, parse_frame, parse_text

__all__ = ["LARGEST_MESSAGE_BYTES", "EventSocket"]

_log = structlog.get_logger(__name__)
_HELLO = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
# Previews have kilobytes; but nodes may send whole pictures here, as PNG of up to 4 bytes a pixel.
LARGEST_MESSAGE_BYTES = 64 << 20
_CLOSE_TIMEOUT_S = 2.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.2, 10.0
_CANNOT_CONNECT = (OSError, TimeoutError, WebSocketException)


class EventSocket:
    """Hands every message to `on_message` at once; `on_gap` says that some may have been missed.

    The server awaits each socket in one loop, so a reader that stops would hold up everybody:
    neither callback may block. A socket can stay open and yet be deaf (the server forgets a client
    id when an older socket of it closes at last), hence `reopen`. A message above `max_message_bytes`
    is never held in memory: it ends the connection, and the next is opened only after a while.
    """

    def __init__(
        self,
        *,
        address: ServerAddress,
        client_id: str,
        on_message: Callable[[WireMessage], None],
        on_gap: Callable[[], None],
        max_message_bytes: int,
        connect_timeout_s: float = 10.0,
        ping_interval_s: float = 15.0,
    ) -> None:
        self.client_id = client_id
        self._address = address
        self._on_message = on_message
        self._on_gap = on_gap
        self._connect_timeout_s = connect_timeout_s
        self._ping_interval_s = ping_interval_s
        self._max_message_bytes = max_message_bytes
        self._heard_at = 0.0
        self._opened = asyncio.Event()
        self._connection: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since anything was heard."""
        return time.monotonic() - self._heard_at

    def heard_since(self, moment: float) -> bool:
        """`moment` is a reading of time.monotonic()."""
        return self._heard_at >= moment

    async def open(self, timeout_s: float) -> None:
        """Start reading, and the first time wait for the connection; later it is tried for ever."""
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._run(), name=f"comfy socket {self.client_id}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._opened.wait()

    def reopen(self) -> None:
        """Close the connection, wait for its end, and connect again under the same id."""
        if self._connection is None or not (self._closing is None or self._closing.done()):
            return
        _log.info("comfy_socket_reopened", server=self._address.url, silent_s=round(self.silent_s, 1))
        self._closing = asyncio.create_task(self._connection.close())

    async def aclose(self) -> None:
        tasks = [task for task in (self._closing, self._task) if task is not None]
        self._closing = self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            try:
                async with self._connecting() as connection:
                    await connection.send(_HELLO)
                    self._connected(connection)
                    delay = _FIRST_DELAY_S
                    await self._read(connection)
            except _CANNOT_CONNECT as error:
                self._log_failure(error)
                if isinstance(error, InvalidHandshake) or _is_too_large(error):
                    delay = _LONGEST_DELAY_S
            finally:
                self._connection = None
                self._opened.clear()
            self._on_gap()
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, _LONGEST_DELAY_S)

    def _connecting(self) -> connect:
        return connect(
            self._address.socket_url(self.client_id),
            additional_headers=self._address.headers,
            compression=None,
            max_size=self._max_message_bytes,
            proxy=None,
            open_timeout=self._connect_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=self._ping_interval_s,
            ping_timeout=self._ping_interval_s,
        )

    def _connected(self, connection: ClientConnection) -> None:
        is_first = self._heard_at == 0.0
        self._connection = connection
        self._heard_at = time.monotonic()
        self._opened.set()
        if not is_first:
            self._on_gap()

    def _log_failure(self, error: Exception) -> None:
        if _is_too_large(error):
            _log.warning(
                "comfy_message_too_large", server=self._address.url, max_bytes=self._max_message_bytes
            )
        else:
            _log.debug("comfy_socket_failed", server=self._address.url, reason=type(error).__name__)

    async def _read(self, connection: ClientConnection) -> None:
        async for frame in connection:
            self._heard_at = time.monotonic()
            self._on_message(parse_text(frame) if isinstance(frame, str) else parse_frame(frame))


def _is_too_large(error: Exception) -> bool:
    return (
        isinstance(error, ConnectionClosed)
        and error.sent is not None
        and error.sent.code == CloseCode.MESSAGE_TOO_BIG
    )
