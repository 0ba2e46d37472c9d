"""The cloud as it is deployed, to be attacked: two API processes and three workers with a PostgreSQL, a
Redis, an S3 store and two GPU servers of their own."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from cloud.services.key_text import PREFIX
from tests.support.comfy_thread import ComfyThread
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.s3_server import S3Server
from tests.support.zygote import ForkedProcess, Zygote

__all__ = ["DATABASE_AWAY", "LEASE_S", "Seat", "Site", "open_site"]

LEASE_S = 6.0
DATABASE_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_PATIENCE_S = 120.0
_APIS, _WORKERS = 2, 3
_QUICK = {
    "LEASE_S": str(LEASE_S),
    "REAP_EVERY_S": "0.5",
    "POLL_EVERY_S": "0.5",
    "LOOK_EVERY_S": "0.5",
    "BREAKER_FIRST_S": "0.3",
    "SERVER_ANSWER_S": "3",
    "RATE_LIMITS": "false",
    "LOG_LEVEL": "info",
}


@dataclass
class Seat:
    """A place for one process, which is begun anew there when it has ended."""

    words: tuple[str, ...]
    process: ForkedProcess | None = None


class Site:
    def __init__(
        self,
        folder: Path,
        *,
        postgres: PostgresServer,
        redis: RedisServer,
        s3: S3Server,
        gpus: Sequence[ComfyThread],
    ) -> None:
        self.postgres, self.redis, self.s3, self.gpus = postgres, redis, s3, gpus
        self._folder = folder
        self._database = postgres.new_database()
        self._logs = count(1)
        self.armed = folder / "failpoint"
        self.ports = [free_port() for _ in range(_APIS)]
        self.apis = [Seat(("serve", "--no-worker", "--port", str(port))) for port in self.ports]
        self.workers = [Seat(("worker",)) for _ in range(_WORKERS)]
        self._environment = {
            "SAFELIGHT_DATA_DIR": str(folder / "data"),
            "SAFELIGHT_DATABASE_URL": self._database,
            "SAFELIGHT_REDIS_URL": redis.url,
            "SAFELIGHT_SECRET_KEY": "of the soak, and long enough to be one",
            "SAFELIGHT_STORAGE_URL": s3.url("soak"),
            "SAFELIGHT_COMFYUI_URLS": ",".join(gpu.url for gpu in gpus),
            **{f"SAFELIGHT_{name}": value for name, value in _QUICK.items()},
            **s3.credentials,
        }
        self._zygote = Zygote(failpoints=self.armed)

    def open(self, plans: Sequence[str]) -> list[str]:
        """The keys of an account of each plan, once everything runs."""
        self.run("migrate")
        keys = []
        for number, plan in enumerate(plans):
            email = f"{plan}{number}@example.com"
            self.run("users", "create", email, "--plan", plan)
            said = self.run("keys", "create", "--user", email)
            keys.append(next(word for word in said.split() if word.startswith(PREFIX)))
        for seat in (*self.apis, *self.workers):
            self.begin(seat)
        return keys

    def begin(self, seat: Seat) -> None:
        seat.process = self._start(seat.words)

    def revive(self) -> None:
        """Whoever watches over processes begins those anew that have ended."""
        for seat in (*self.apis, *self.workers):
            if seat.process is None or seat.process.poll() is not None:
                self.begin(seat)

    def kill(self, seat: Seat, number: int = signal.SIGKILL) -> int:
        """The id of the process that was sent the signal."""
        assert seat.process is not None
        seat.process.send_signal(number)
        return seat.process.pid

    def run(self, *words: str) -> str:
        process, log = self._start(words), self._newest_log
        assert process.wait() == 0, log.read_text()
        return log.read_text()

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """However long the database is away, or has much to do."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                [rows] = self.queries([statement], *values)
            except DATABASE_AWAY:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return rows

    def queries(self, statements: Sequence[str], *values: object) -> list[list[tuple[Any, ...]]]:
        """Raises what DATABASE_AWAY says."""
        return asyncio.run(self._queried(statements, values))

    def close(self) -> None:
        self._zygote.close()

    def logs(self) -> Iterator[Path]:
        return self._folder.glob("*.log")

    async def _queried(
        self, statements: Sequence[str], values: tuple[object, ...]
    ) -> list[list[tuple[Any, ...]]]:
        dsn = self._database.replace("+asyncpg", "")
        connection = await asyncpg.connect(dsn, timeout=10, server_settings={"application_name": "auditor"})
        try:
            return [[tuple(row) for row in await connection.fetch(one, *values)] for one in statements]
        finally:
            await connection.close()

    def _start(self, words: Sequence[str]) -> ForkedProcess:
        self._newest_log = self._folder / f"{next(self._logs):03}-{words[0]}.log"
        return self._zygote.start(tuple(words), self._environment, self._newest_log)


@contextlib.contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        postgres, redis, s3 = PostgresServer(), RedisServer(), S3Server()
        stack.callback(postgres.close)
        stack.callback(redis.close)
        stack.callback(s3.kill)
        gpus = [ComfyThread() for _ in range(2)]
        for gpu in gpus:
            stack.callback(gpu.close)
            gpu.server.execution.step_s = random.uniform(0.02, 0.04)
        site = Site(folder, postgres=postgres, redis=redis, s3=s3, gpus=gpus)
        stack.callback(site.close)
        yield site
