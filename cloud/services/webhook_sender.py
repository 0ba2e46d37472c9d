"""Sends what webhooks are to be told: at least once, in no order, and no webhook delays another.

A sender that dies leaves what it had to the next as soon as its lease is over; what it had sent, and not
noted, is then sent again under the same id. One that is told to stop hands it on at once.
"""

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from time import time
from typing import assert_never

import structlog

from cloud.clients.queue import Bell, Queue, Waiter
from cloud.clients.safe_http import SafeHttp
from cloud.clients.secret_box import SecretBox
from cloud.repositories.database import Database
from cloud.repositories.deliveries import Outgoing
from cloud.repositories.unit import Unit
from cloud.services.leases import under_lease
from cloud.services.webhook_rules import Again, Dead, Delivered, Tried, after_try, gives_up
from cloud.services.webhooks import disable
from shared.api.webhook_signatures import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, webhook_signature
from shared.errors import SafelightError, TransientError
from shared.failpoints import failpoint

__all__ = ["WebhookSender"]

_log = structlog.get_logger(__name__)

_AT_ONCE = 64
_EACH_AT_ONCE = 4
_TRY_S = 15.0
_DELIVERED_KEPT = timedelta(days=7)
_DEAD_KEPT = timedelta(days=30)


class WebhookSender:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        http: SafeHttp,
        box: SecretBox,
        lease: timedelta,
        try_s: float = _TRY_S,
    ) -> None:
        self._database = database
        self._queue = queue
        self._http = http
        self._box = box
        self._lease = lease
        self._try_s = try_s
        self._busy: Counter[str] = Counter()

    async def run(self, *, poll_s: float = 5.0) -> None:
        """Until cancelled: whenever something happened, and now and then without it."""
        with self._queue.listen(Bell.EVENTS) as waiter:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        await self._begin(group, waiter)
                    except TransientError as error:
                        _log.warning("webhooks_not_sent", error=error.code)
                    await waiter.wait(poll_s)

    async def begin_alone(self) -> None:
        """At the start of a process that is the only one: what is taken, the dead had."""
        await self._database.write(lambda unit: unit.deliveries.release())

    async def send_due(self) -> int:
        """One round; how many tries that were."""
        async with asyncio.TaskGroup() as group:
            return await self._begin(group, Waiter())

    async def forget(self) -> int:
        """Deliveries that are kept no longer; how many."""
        return await self._database.write(
            lambda unit: unit.deliveries.forget(delivered=_DELIVERED_KEPT, dead=_DEAD_KEPT)
        )

    async def _begin(self, group: asyncio.TaskGroup, waiter: Waiter) -> int:
        """Whoever is done rings, since there may be more for the place that it leaves."""
        free = _AT_ONCE - self._busy.total()
        if free <= 0 or not await self._database.read(lambda unit: unit.deliveries.is_some_due()):
            return 0
        busy, since = dict(self._busy), asyncio.get_running_loop().time()
        taken = await self._database.write(
            lambda unit: unit.deliveries.take(most=free, each=_EACH_AT_ONCE, busy=busy, lease=self._lease)
        )
        for outgoing in taken:
            self._busy[outgoing.webhook_id] += 1
            handling = self._handle(outgoing, waiter, since)
            group.create_task(handling, name=f"webhook-{outgoing.message_id}")
        if taken:
            failpoint("webhook.taken")
        return len(taken)

    async def _handle(self, outgoing: Outgoing, waiter: Waiter, since: float) -> None:
        def renew(unit: Unit) -> bool:
            return unit.deliveries.renew(outgoing, self._lease)

        try:
            lease_s = self._lease.total_seconds()
            async with under_lease(lambda: self._database.write(renew), lease_s=lease_s, since=since):
                tried = await self._send(outgoing)
            failpoint("webhook.sent")
            if await self._database.write(lambda unit: _noted(unit, outgoing, tried)):
                await self._queue.ring(Bell.EVENTS)
            failpoint("webhook.noted")
        except TransientError as error:
            _log.warning("webhook_not_noted", delivery=outgoing.message_id, error=error.code)
        except asyncio.CancelledError:
            await self._let_go(outgoing)
            raise
        finally:
            self._busy[outgoing.webhook_id] -= 1
            self._busy += Counter()  # drops what is at zero
            waiter.ring()

    async def _let_go(self, outgoing: Outgoing) -> None:
        with contextlib.suppress(TransientError):
            if await self._database.write(lambda unit: unit.deliveries.let_go(outgoing)):
                await self._queue.ring(Bell.EVENTS)

    async def _send(self, outgoing: Outgoing) -> Tried:
        body = outgoing.body.encode()
        try:
            answer = await self._http.post(
                outgoing.url, headers=self._headers(outgoing, body), body=body, timeout_s=self._try_s
            )
        except SafelightError as error:
            return Tried(status=None, problem=error.message)
        return Tried(answer.status, f"it answered {answer.status}", answer.retry_after)

    def _headers(self, outgoing: Outgoing, body: bytes) -> dict[str, str]:
        now = int(time())
        signatures = (
            webhook_signature(self._box.open(secret), outgoing.message_id, now, body)
            for secret in outgoing.secrets
        )
        return {
            "Content-Type": "application/json",
            ID_HEADER: outgoing.message_id,
            TIMESTAMP_HEADER: str(now),
            SIGNATURE_HEADER: " ".join(signatures),
        }


def _noted(unit: Unit, outgoing: Outgoing, tried: Tried) -> bool:
    """True if others are to be told that the webhook was disabled."""
    step = after_try(tried, outgoing.tries)
    _log.info(
        "webhook_tried",
        webhook=outgoing.webhook_id,
        delivery=outgoing.message_id,
        tries=outgoing.tries,
        status=tried.status,
    )
    match step:
        case Delivered():
            if unit.deliveries.delivered(outgoing, status=tried.status or 0):
                unit.webhooks.note_success(outgoing.webhook_id)
            return False
        case Again(after):
            ours = unit.deliveries.again(outgoing, after=after, status=tried.status, problem=tried.problem)
        case Dead():
            ours = unit.deliveries.dead(outgoing, status=tried.status, problem=tried.problem)
        case _:
            assert_never(step)
    if not ours:
        return False
    failing_for = unit.webhooks.note_failure(outgoing.webhook_id)
    if isinstance(step, Dead) and step.is_gone:
        return disable(unit, outgoing.account_id, outgoing.webhook_id, "it answered 410: it is gone")
    if gives_up(failing_for):
        reason = f"nothing was taken there for {failing_for.days} days; the last time, {tried.problem}"
        return disable(unit, outgoing.account_id, outgoing.webhook_id, reason)
    return False
