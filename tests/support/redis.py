"""A real Redis of our own on a free port, which keeps nothing on disk."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port

__all__ = ["RedisServer", "redis_server"]

_START_S = 60.0


class RedisServer:
    """Starts at once; `kill` is SIGKILL, and after `restart` it is empty."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "install redis-server to run these tests"
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="safelight-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._program, *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + _START_S
        while self.command("PING") != b"+PONG\r\n":
            assert time.monotonic() < until, "redis-server did not start"

    def command(self, *words: str) -> bytes:
        """The first bytes of the answer, or nothing if nobody answered."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
                connection.sendall(request.encode())
                return connection.recv(4096)
        except OSError:
            return b""

    def flush(self) -> None:
        assert self.command("FLUSHALL") == b"+OK\r\n"

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _redis_of_the_session() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_server(_redis_of_the_session: RedisServer) -> RedisServer:
    """Running and empty."""
    _redis_of_the_session.start()
    _redis_of_the_session.flush()
    return _redis_of_the_session
