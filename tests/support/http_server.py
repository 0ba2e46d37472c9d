"""A scripted HTTP server: answers what it was told, in order, and records what it was asked."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Asked", "HttpServer", "Reply", "http_server"]

_LONGEST_GATE_S = 120.0


@dataclass(frozen=True)
class Reply:
    """With `cut_at`, the connection ends after that many bytes of the body; 0 before any answer. With `gate`,
    nothing is answered before it is set."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cut_at: int | None = None
    gate: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpServer:
    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: deque[Reply] = deque()
        self.asked: list[Asked] = []


@contextlib.contextmanager
def http_server() -> Iterator[HttpServer]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    script = HttpServer(f"http://127.0.0.1:{listening.server_port}")
    listening.script = script  # type: ignore[attr-defined]
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        script: HttpServer = self.server.script  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        script.asked.append(Asked(self.command, self.path, headers, body))
        reply = script.replies.popleft() if script.replies else Reply(status=500, body=b"nothing scripted")
        if reply.gate is not None:
            reply.gate.wait(_LONGEST_GATE_S)
        if reply.cut_at == 0:
            self.close_connection = True
            return
        try:
            self._send(reply)
        except ConnectionError:
            self.close_connection = True  # whoever asked is no more

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut_at])
        if reply.cut_at is not None:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass
