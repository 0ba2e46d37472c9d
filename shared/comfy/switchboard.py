"""From sockets to feeds: each message goes to those who follow its prompt, and to nobody else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from shared.comfy.address import ServerAddress
from shared.comfy.event_socket import EventSocket
from shared.comfy.feed import Feed
from shared.comfy.messages import (
    ExecutionStarted,
    Ignored,
    NodeText,
    PreviewFrame,
    PromptEnded,
    PromptOver,
    RunMessage,
    ServerStatus,
    WireMessage,
)
from shared.comfy.patience import Patience

__all__ = ["Switchboard"]


class Switchboard:
    """One socket for all prompts of this client, and one for each client id that it takes over."""

    def __init__(
        self, *, address: ServerAddress, client_id: str, patience: Patience, max_message_bytes: int
    ) -> None:
        self._address = address
        self._patience = patience
        self._max_message_bytes = max_message_bytes
        self._own = self._socket(client_id)
        self._adopted: dict[str, tuple[EventSocket, int]] = {}
        self._feeds: dict[str, list[Feed]] = {}
        self._running: set[str] = set()
        self._checks: set[asyncio.TimerHandle] = set()

    async def connect(self) -> None:
        await self._own.open(self._patience.first_socket_s)

    @contextlib.asynccontextmanager
    async def socket(self, client_id: str) -> AsyncIterator[EventSocket]:
        """The socket to which the server sends the messages for `client_id`.

        For an id that is not ours it is taken over from the process that died with it; the newest
        socket of an id wins at once.
        """
        if client_id == self._own.client_id:
            await self.connect()
            yield self._own
            return
        socket, users = self._adopted.get(client_id) or (self._socket(client_id), 0)
        self._adopted[client_id] = (socket, users + 1)
        try:
            await socket.open(self._patience.first_socket_s)
            yield socket
        finally:
            socket, users = self._adopted.pop(client_id)
            if users > 1:
                self._adopted[client_id] = (socket, users - 1)
            else:
                await socket.aclose()

    def open_feed(self, prompt_id: str) -> Feed:
        feed = Feed()
        self._feeds.setdefault(prompt_id, []).append(feed)
        return feed

    def close_feed(self, prompt_id: str, feed: Feed) -> None:
        feeds = self._feeds.get(prompt_id, [])
        if feed in feeds:
            feeds.remove(feed)
        if not feeds:
            self._feeds.pop(prompt_id, None)
            self._running.discard(prompt_id)

    def tell(self, message: RunMessage, prompt_id: str) -> None:
        for feed in self._feeds.get(prompt_id, ()):
            feed.put(message)

    def expect_status(self) -> None:
        """Our own prompt was accepted, so a status must come soon; if none does, the socket is deaf."""
        asked_at = time.monotonic()

        def check() -> None:
            self._checks.discard(handle)
            if not self._own.heard_since(asked_at):
                self._own.reopen()

        handle = asyncio.get_running_loop().call_later(self._patience.deaf_after_s, check)
        self._checks.add(handle)

    async def aclose(self) -> None:
        for handle in self._checks:
            handle.cancel()
        self._checks.clear()
        sockets = [self._own, *(socket for socket, _ in self._adopted.values())]
        await asyncio.gather(*(socket.aclose() for socket in sockets))

    def _socket(self, client_id: str) -> EventSocket:
        return EventSocket(
            address=self._address,
            client_id=client_id,
            on_message=self._route,
            on_gap=self._wake_all,
            connect_timeout_s=self._patience.connect_s,
            ping_interval_s=self._patience.ping_s,
            max_message_bytes=self._max_message_bytes,
        )

    def _route(self, message: WireMessage) -> None:
        match message:
            case ServerStatus() | NodeText() | Ignored():
                return
            case PreviewFrame(prompt_id=None):
                self._route_anonymous(message)
                return
            case ExecutionStarted() if message.prompt_id in self._feeds:
                self._running.add(message.prompt_id)
            case PromptEnded() | PromptOver():
                self._running.discard(message.prompt_id)
            case _:
                pass
        if message.prompt_id is not None:
            self.tell(message, message.prompt_id)

    def _route_anonymous(self, message: PreviewFrame) -> None:
        """A frame without ids is ours only while exactly one of our prompts runs: the server runs one."""
        if len(self._running) == 1:
            self.tell(message, next(iter(self._running)))

    def _wake_all(self) -> None:
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.wake()
