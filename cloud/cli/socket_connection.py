"""One WebSocket of a client, with a short way for what many sockets are told at once."""

from asyncio import AbstractEventLoop, TimerHandle
from functools import lru_cache
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from cloud.routers.events import TEXT_AT_ONCE

__all__ = ["SocketConnection"]

_FRAMES_KEPT = 32


class SocketConnection(WebSocketsSansIOProtocol):
    """Cut off when its client does not read for `patience_s`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
        *,
        patience_s: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._patience_s = patience_s
        self._reading_timer: TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][TEXT_AT_ONCE] = {"send": self._send_at_once}

    async def send(self, message: Any) -> None:
        """Counts a refusal as the answer that it is: Uvicorn would log that there was none."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_timer()
        self._reading_timer = self.loop.call_later(self._patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_timer()
        super().resume_writing()

    def _send_at_once(self, text: str) -> bool:
        """False if it cannot go now: before the upgrade, after the end, or behind what is not yet read."""
        if not self.handshake_complete or self.close_sent or not self.writable.is_set():
            return False
        if self.transport.is_closing():
            return False
        self.transport.write(_frame_of(text))
        return True

    def _stop_timer(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None


@lru_cache(maxsize=_FRAMES_KEPT)
def _frame_of(text: str) -> bytes:
    """Made once for all sockets that it goes to."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
