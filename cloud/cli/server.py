"""Uvicorn, told when to stop rather than listening for signals of its own."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial

import uvicorn

from cloud.cli.http_connection import HttpConnection
from cloud.cli.socket_connection import SocketConnection
from cloud.context import ProcessContext
from cloud.errors import BadSettings
from cloud.main import asgi_app, operations_app

__all__ = ["ApiServer", "listening_socket"]

_LARGEST_MESSAGE_BYTES = 64 * 1024


class ApiServer(uvicorn.Server):
    """`announce` is called once requests are answered; what is not `whole` has health and metrics alone."""

    def __init__(self, context: ProcessContext, *, announce: Callable[[], None], whole: bool = True) -> None:
        settings = context.settings
        config = uvicorn.Config(
            asgi_app(context) if whole else operations_app(context),
            http=partial(  # type: ignore[arg-type]
                HttpConnection,
                patience_s=settings.client_patience_s,
                max_head_bytes=settings.max_head_bytes,
            ),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws=partial(SocketConnection, patience_s=settings.client_patience_s),  # type: ignore[arg-type]
            ws_max_size=_LARGEST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        )
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process listens for them, since it has more to end than this."""
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """Raises BadSettings if the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise BadSettings(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port"
        ) from error
