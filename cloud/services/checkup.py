"""What an operator should know of a cloud: each thing that is needed, and what to do where it is wanting."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cloud.repositories.database import Database
from cloud.repositories.gauges import Gauges, ServerGauge
from cloud.services.credit_audit import CreditAudit
from cloud.services.health import Health
from shared.api.servers import BreakerState
from shared.errors import TransientError

__all__ = ["Checkup", "Finding", "Verdict"]

_GB = 1024**3
_LITTLE_DISK_BYTES = 2 * _GB
_MUCH_SKEW_S = 2.0
_LATE_OUTBOX_S = 60.0
_LATE_WEBHOOK_S = 3600.0


class Verdict(StrEnum):
    GOOD = "good"
    WARNING = "warning"  # it works, and will not for ever
    PROBLEM = "problem"  # the cloud cannot run


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    verdict: Verdict
    message: str
    remedy: str = ""


class Checkup:
    def __init__(
        self,
        *,
        database: Database,
        health: Health,
        audit: CreditAudit,
        folder: Path,
        storage: str,
        schema_version: str,
        has_redis: bool,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._health = health
        self._audit = audit
        self._folder = folder
        self._storage_place = storage
        self._schema_version = schema_version
        self._has_redis = has_redis
        self._utcnow = utcnow

    async def look(self) -> tuple[Finding, ...]:
        """Nothing is looked for in a database that is away or of another version."""
        ready = await self._health.look()
        findings = [
            _found(ready.database, "database", "answers", "start it, or correct SAFELIGHT_DATABASE_URL"),
            _found(
                ready.migrations,
                "tables",
                f"version {self._schema_version}",
                "run `safelight-cloud migrate`",
            ),
            await self._storage(),
            self._queue(ready.queue),
            self._disk(),
        ]
        if ready.database and ready.migrations:
            findings += await self._rows()
        return tuple(findings)

    async def _rows(self) -> list[Finding]:
        looks: tuple[Callable[[], Coroutine[Any, Any, list[Finding]]], ...] = (self._work, self._audits)
        try:
            return [
                finding for found in await asyncio.gather(*(look() for look in looks)) for finding in found
            ]
        except TransientError as error:
            return [Finding("work", Verdict.PROBLEM, error.message, "see that the database runs well")]

    async def _storage(self) -> Finding:
        problem = await self._health.storage_problem()
        return _found(problem is None, "storage", self._storage_place, problem or "")

    def _queue(self, answers: bool) -> Finding:
        if not self._has_redis:
            return Finding("queue", Verdict.GOOD, "in this process")
        if answers:
            return Finding("queue", Verdict.GOOD, "Redis answers")
        return Finding("queue", Verdict.WARNING, "Redis is away: jobs begin with some delay", "start Redis")

    def _disk(self) -> Finding:
        existing = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        message = f"{free / _GB:.1f} GB free at {self._folder}"
        if free > _LITTLE_DISK_BYTES:
            return Finding("disk", Verdict.GOOD, message)
        return Finding("disk", Verdict.WARNING, message, "make room, or set SAFELIGHT_DATA_DIR")

    async def _work(self) -> list[Finding]:
        before = self._utcnow()
        gauges, at = await self._database.read(lambda unit: (unit.gauges.read(), unit.gauges.now()))
        middle = before + (self._utcnow() - before) / 2
        return [
            _skew(abs((at - middle).total_seconds())),
            _outbox(gauges),
            _webhooks(gauges),
            _servers(gauges),
        ]

    async def _audits(self) -> list[Finding]:
        found = await self._audit.findings()
        message = "every credit is accounted for" if not found else f"{len(found)} accounts do not add up"
        return [_found(not found, "credits", message, "run `safelight-cloud credits audit`", Verdict.WARNING)]


def _skew(seconds: float) -> Finding:
    return _found(
        seconds < _MUCH_SKEW_S,
        "clock",
        f"{seconds:.1f} s from the database's",
        "set both by the same time server",
        Verdict.WARNING,
    )


def _outbox(gauges: Gauges) -> Finding:
    lag = gauges.outbox
    return _found(
        lag.oldest_s < _LATE_OUTBOX_S,
        "outbox",
        f"{lag.count} events are to be told",
        f"the first has waited {lag.oldest_s:.0f} s: start `safelight-cloud serve` or `worker`",
        Verdict.WARNING,
    )


def _webhooks(gauges: Gauges) -> Finding:
    lag = gauges.webhooks
    return _found(
        lag.oldest_s < _LATE_WEBHOOK_S,
        "webhooks",
        f"{lag.count} messages are to be sent",
        f"the first has been due for {lag.oldest_s:.0f} s: start `safelight-cloud worker`",
        Verdict.WARNING,
    )


def _servers(gauges: Gauges) -> Finding:
    if not gauges.servers:
        return Finding("servers", Verdict.GOOD, "none: presets that need no GPU run here")
    unfit = [server.name for server in gauges.servers if not _works(server)]
    message = f"{len(gauges.servers) - len(unfit)} of {len(gauges.servers)} work"
    remedy = f"see `safelight-cloud servers show {unfit[0]}`" if unfit else ""
    return _found(not unfit, "servers", message, remedy, Verdict.WARNING)


def _works(server: ServerGauge) -> bool:
    return server.led and server.breaker is BreakerState.CLOSED


def _found(good: bool, name: str, message: str, remedy: str, otherwise: Verdict = Verdict.PROBLEM) -> Finding:
    return Finding(name, Verdict.GOOD, message) if good else Finding(name, otherwise, message, remedy)
