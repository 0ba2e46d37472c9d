"""A real PostgreSQL of our own on a free port, with a fresh database for whoever asks."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from tests.support.ports import free_port

__all__ = ["PostgresServer", "postgres_server", "postgres_url"]

_START_S = 60.0
_DEBIAN = Path("/usr/lib/postgresql")


class PostgresServer:
    """PostgreSQL refuses root, so root starts it as `nobody`. Nothing is flushed unless it is `durable`."""

    def __init__(self, *, durable: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="safelight-postgres-"))
        self._databases = count(1)
        self.port = free_port()
        if os.geteuid() == 0:
            shutil.chown(self._folder, "nobody", "nogroup")
        data = self._folder / "data"
        init = [_program("initdb"), "-D", str(data), "-U", "safelight", "-A", "trust", "-E", "UTF8", "-N"]
        subprocess.run(_unprivileged([*init, "--locale=C.UTF-8"]), check=True, capture_output=True, cwd="/")
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if durable else "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._command = _unprivileged([_program("postgres"), "-D", str(data), *options])
        self._log = (self._folder / "log").open("wb")
        self._begin()

    def restart(self) -> None:
        """As after a crash: sessions are lost, and what was committed is not."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        self._begin()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of it stands still: connections stay open, and nothing is answered."""
        told = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, check=False)
        pids = [self._process.pid, *map(int, told.stdout.split())]
        self._signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(pids, signal.SIGCONT)

    def _signal(self, pids: Sequence[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def execute(self, statement: str, *values: object, database: str = "postgres") -> list[asyncpg.Record]:
        return asyncio.run(self.fetch(statement, database, *values))

    async def fetch(self, statement: str, database: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="safelight", database=database, timeout=60
        )
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    def new_database(self) -> str:
        """The URL of an empty database, as the settings take it."""
        name = f"test_{os.getpid()}_{next(self._databases)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql+asyncpg://safelight@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # at once: what it holds is thrown away
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, cwd="/")
        until = time.monotonic() + _START_S
        while True:
            try:
                self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                assert time.monotonic() < until, (self._folder / "log").read_text()
                assert self._process.poll() is None, (self._folder / "log").read_text()
            else:
                return


def _program(name: str) -> str:
    folders = sorted(_DEBIAN.glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    assert found is not None, "install postgresql to run these tests"
    return found


def _unprivileged(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    # SIGTERM of the parent's death: a test run that is killed leaves no server behind.
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=TERM", *command]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """An empty database."""
    return postgres_server.new_database()
