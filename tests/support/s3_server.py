"""An S3 server of our own: moto in a process, behind a check of signatures, which fails when told to.

python -m tests.support.s3_server PORT
"""

import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.ports import free_port
from tests.support.s3_signatures import Refused, SignedRequest, check_signature

__all__ = ["BUCKET", "KEY_ID", "REGION", "SECRET", "S3Server", "s3_server"]

KEY_ID = "AKIASAFELIGHT0000001"
SECRET = "not-a-secret-but-long-enough-for-a-test"
BUCKET = "safelight-test"
REGION = "eu-central-1"
_CONTROL = "/-safelight/"
_START_S = 60.0
_Start = Callable[[str, list[tuple[str, str]]], Any]


@dataclass
class _Fault:
    """`times` requests of `method` whose path holds `path` fail as `kind` says: `503`, `hang`, `reset`
    before anything is done, `lost` when it is done but not told, `cut` in the midst of the answer."""

    kind: str
    method: str
    path: str
    times: int


class _Gate:
    """Refuses what is not signed, and misbehaves on demand."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._faults: list[_Fault] = []
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __call__(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(_CONTROL):
            return self._told(environ, start)
        request = _request(environ)
        try:
            check_signature(request, {KEY_ID: SECRET}, now=datetime.now(UTC))
        except Refused as refused:
            return _error(start, refused.status, refused.code)
        return self._answer(environ, start, self._fault(request))

    def _answer(self, environ: dict[str, Any], start: _Start, fault: str | None) -> Iterable[bytes]:
        if fault == "503":
            return _error(start, 503, "SlowDown")
        if fault == "hang":
            self._closing.wait(60)
        if fault in {"reset", "hang"}:
            return _dropped(environ)
        answer = b"".join(self._app(environ, start if fault is None else _nothing))
        if fault is None:
            return [answer]
        if fault == "cut":
            environ["werkzeug.socket"].sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(answer)
                + b'Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: "x"\r\n\r\n'
                + answer[: len(answer) // 2]
            )
        return _dropped(environ)

    def _fault(self, request: SignedRequest) -> str | None:
        with self._lock:
            self._counts[request.method] = self._counts.get(request.method, 0) + 1
            for fault in self._faults:
                if fault.times and fault.method == request.method and fault.path in request.url:
                    fault.times -= 1
                    return fault.kind
        return None

    def _told(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            if environ["PATH_INFO"].endswith("faults"):
                self._faults = [_Fault(**item) for item in json.loads(body)]
            if environ["PATH_INFO"].endswith("forget"):
                self._counts = {}
            counts = dict(self._counts)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(counts).encode()]


def _request(environ: dict[str, Any]) -> SignedRequest:
    """Read whole, and put back for moto."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
    }
    url = f"http://{environ['HTTP_HOST']}{environ['RAW_URI']}"
    return SignedRequest(environ["REQUEST_METHOD"], url, headers, body)


def _nothing(_status: str, _headers: list[tuple[str, str]], _error: object = None) -> Any:
    return None


def _error(start: _Start, status: int, code: str) -> Iterable[bytes]:
    start(f"{status} {code}", [("Content-Type", "application/xml")])
    return [f'<?xml version="1.0"?><Error><Code>{code}</Code></Error>'.encode()]


def _dropped(environ: dict[str, Any]) -> Iterable[bytes]:
    """The connection is reset."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
    raise ConnectionResetError


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - as werkzeug calls it
        pass


def _serve(port: int) -> None:
    os.environ.update(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET)
    s3_backends["123456789012"]["aws"].create_bucket(BUCKET, REGION)
    gate = _Gate(create_backend_app("s3"))
    make_server("127.0.0.1", port, gate, threaded=True, request_handler=_Handler).serve_forever(0.05)


class S3Server:
    """Starts at once; what it holds is lost with the process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, prefix: str = "") -> str:
        """As the settings take it."""
        return f"s3://{BUCKET}/{prefix}?region={REGION}&endpoint={self.endpoint}"

    @property
    def credentials(self) -> dict[str, str]:
        """As the environment holds them."""
        return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

    def start(self) -> None:
        program = [sys.executable, "-m", "tests.support.s3_server", str(self.port)]
        self._process = subprocess.Popen(program)
        until = time.monotonic() + _START_S
        while True:
            try:
                self.counts()
                break
            except OSError:
                assert time.monotonic() < until, "the S3 server did not start"
                assert self._process.poll() is None
                time.sleep(0.02)

    def fail(self, kind: str, method: str, *, times: int = 1, path: str = "") -> None:
        """From now on, and instead of what was asked for before."""
        self._control("faults", [{"kind": kind, "method": method, "path": path, "times": times}])

    def behave(self) -> None:
        self._control("faults", [])
        self._control("forget", [])

    def counts(self) -> dict[str, int]:
        """Signed requests by method, since the last `behave`."""
        return self._control("counts", [])

    def _control(self, what: str, body: object) -> dict[str, int]:
        request = urllib.request.Request(  # noqa: S310 - ours
            f"{self.endpoint}{_CONTROL}{what}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            counts: dict[str, int] = json.loads(answer.read())
            return counts

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def _s3_of_the_session() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture
def s3_server(_s3_of_the_session: S3Server) -> S3Server:
    """Running and well-behaved; what earlier tests stored is still there."""
    if not _s3_of_the_session.lives:
        _s3_of_the_session.start()
    _s3_of_the_session.behave()
    return _s3_of_the_session


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
