"""An API process that is offered three times what it can do: what it takes, it still answers soon."""

import asyncio
import json
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from shared.files import digest_file
from shared.ids import new_id
from shared.presets.bundle import shipped_presets_folder
from shared.sdk.blocking_client import BlockingCloudClient
from tests.bench.figure import Figure, Load
from tests.support.cloud_processes import CloudProcesses
from tests.support.open_model import offer
from tests.support.postgres import PostgresServer
from tests.support.quick_http import QuickHttp
from tests.support.quick_loop import run_quickly

__all__ = ["measure"]

_PHOTO = shipped_presets_folder() / "samples" / "cat.jpg"
_AT_ONCE = 16
_CAPACITY_S = 3.0
_OFFERED_S = 6.0
_USUAL = 0.8
_OVERLOAD = 3.0


def measure() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="safelight-bench-") as name,
        closing(PostgresServer(durable=True)) as server,
    ):
        settings = {
            "SAFELIGHT_DATABASE_URL": server.new_database(),
            "SAFELIGHT_SECRET_KEY": "s" * 40,
            "SAFELIGHT_RATE_LIMITS": "false",
            "SAFELIGHT_LOG_LEVEL": "warning",
        }
        with closing(CloudProcesses(Path(name), settings)) as processes:
            processes.run("migrate")
            processes.run("users", "create", "bench@example.com", "--plan", "studio")
            key = processes.run("keys", "create")
            processes.serve("--no-worker")
            with closing(BlockingCloudClient(server_url=processes.url, api_key=key)) as client:
                client.upload_artifact(_PHOTO, digest_file(_PHOTO))
            return run_quickly(_measured(processes.url, key))


@dataclass(slots=True)
class _Submitter:
    """Counts what became of its requests."""

    http: QuickHttp
    key: str
    body: bytes
    accepted_ms: list[float] = field(default_factory=list)
    refused: int = 0
    unexplained: int = 0

    async def submit(self) -> None:
        begun = time.perf_counter()
        answer = await self.http.post(
            "/api/v1/jobs",
            self.body,
            Authorization=f"Bearer {self.key}",
            Content_Type="application/json",
            Idempotency_Key=new_id(),
        )
        if answer.status == 202:
            self.accepted_ms.append((time.perf_counter() - begun) * 1000)
        elif answer.status in {429, 503} and answer.retry_after is not None:
            self.refused += 1
        else:
            self.unexplained += 1

    def p99(self) -> float:
        return statistics.quantiles(self.accepted_ms, n=100)[98]


async def _measured(url: str, key: str) -> list[Figure]:
    photo = {"digest": digest_file(_PHOTO), "name": "cat.jpg"}
    body = json.dumps({"preset": "noir", "inputs": {"photo": [photo]}}).encode()
    async with QuickHttp(url) as http:
        capacity = await _capacity(_Submitter(http, key, body))
        usual, much = _Submitter(http, key, body), _Submitter(http, key, body)
        await offer(usual.submit, rate=_USUAL * capacity, seconds=_OFFERED_S)
        offered = await offer(much.submit, rate=_OVERLOAD * capacity, seconds=_OFFERED_S)
    target = _OVERLOAD * capacity
    return [
        Figure(
            name=f"accepted submissions (99 %) of {_OVERLOAD:g} times what one process can do",
            value=much.p99(),
            floor=usual.p99(),
            unit="ms",
            floor_name=f"at {_USUAL:g} of it",
            goal_ratio=2.0,
            load=Load(target, offered.rate),
        ),
        Figure(
            name="submissions accepted meanwhile (share of what it can do that is lost)",
            value=max(0.0, 1 - len(much.accepted_ms) / _OFFERED_S / capacity) * 100,
            floor=0.0,
            unit="%",
            floor_name="nothing refused",
            goal_value=50.0,
        ),
        Figure(
            name="answers that are neither 202 nor 429 or 503 with Retry-After",
            value=float(usual.unexplained + much.unexplained),
            floor=0.0,
            unit="answers",
            floor_name="none",
            goal_value=0.0,
        ),
    ]


async def _capacity(submitter: _Submitter) -> float:
    """How many a second are accepted of clients that wait for their answers."""
    until = time.perf_counter() + _CAPACITY_S

    async def submit() -> None:
        while time.perf_counter() < until:
            await submitter.submit()

    await asyncio.gather(*(submit() for _ in range(_AT_ONCE)))
    return len(submitter.accepted_ms) / _CAPACITY_S
