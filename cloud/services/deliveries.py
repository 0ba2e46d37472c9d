"""What an account's webhooks were told: shown, and sent again."""

import json

from cloud.clients.queue import Bell, Queue
from cloud.errors import NotFound
from cloud.repositories.database import Database
from cloud.repositories.deliveries import DeliveryRecord
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.cursors import cut_page, read_cursor
from cloud.services.webhooks import found_webhook, require_active
from shared.api.webhooks import Delivery, DeliveryPage, DeliveryState, Replayed, ReplayRequest

__all__ = ["Deliveries"]


class Deliveries:
    def __init__(self, *, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def page(
        self,
        caller: Caller,
        webhook_id: str,
        *,
        state: DeliveryState | None,
        cursor: str | None,
        limit: int,
    ) -> DeliveryPage:
        """Newest first."""
        caller.require(Scope.READ)
        before = read_cursor(cursor)

        def work(unit: Unit) -> tuple[DeliveryRecord, ...]:
            found_webhook(unit, caller, webhook_id)
            return unit.deliveries.page(webhook_id, state=state, before=before, limit=limit + 1)

        found = await self._database.read(work)
        page, next_cursor = cut_page(found, limit, lambda delivery: delivery.number)
        return DeliveryPage(deliveries=[_view(delivery) for delivery in page], next_cursor=next_cursor)

    async def show(self, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
        caller.require(Scope.READ)

        def work(unit: Unit) -> DeliveryRecord:
            found_webhook(unit, caller, webhook_id)
            return _found(unit, webhook_id, delivery_id)

        return _view(await self._database.read(work))

    async def replay(self, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
        """Sent again at once, under the same id, whatever became of it. Raises Conflict if the webhook
        is disabled."""
        caller.require(Scope.WRITE)

        def work(unit: Unit) -> DeliveryRecord:
            require_active(found_webhook(unit, caller, webhook_id))
            unit.deliveries.replay(webhook_id, delivery_id)
            return _found(unit, webhook_id, delivery_id)

        delivery = await self._database.write(work)
        await self._queue.ring(Bell.EVENTS)
        return _view(delivery)

    async def replay_dead(self, caller: Caller, webhook_id: str, request: ReplayRequest) -> Replayed:
        """Raises Conflict if the webhook is disabled."""
        caller.require(Scope.WRITE)

        def work(unit: Unit) -> int:
            require_active(found_webhook(unit, caller, webhook_id))
            return unit.deliveries.replay_dead(webhook_id, request.since)

        count = await self._database.write(work)
        await self._queue.ring(Bell.EVENTS)
        return Replayed(count=count)


def _found(unit: Unit, webhook_id: str, delivery_id: str) -> DeliveryRecord:
    delivery = unit.deliveries.find(webhook_id, delivery_id)
    if delivery is None:
        raise NotFound("there is no such delivery, or it is no longer kept", delivery=delivery_id)
    return delivery


def _view(delivery: DeliveryRecord) -> Delivery:
    return Delivery(
        id=delivery.message_id,
        event=delivery.kind,
        state=delivery.state,
        tries=delivery.tries,
        status=delivery.status,
        problem=delivery.problem,
        created_at=delivery.created_at,
        next_at=delivery.next_at if delivery.state is DeliveryState.WAITING else None,
        ended_at=delivery.ended_at,
        payload=json.loads(delivery.body),
    )
