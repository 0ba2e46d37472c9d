"""Where the account is told of what happens, and what it was told."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from cloud.routers.json_bodies import JsonRoute
from cloud.routers.parameters import Cursor, Id, PageLimit
from shared.api.webhooks import (
    Delivery,
    DeliveryPage,
    DeliveryState,
    Replayed,
    ReplayRequest,
    Webhook,
    WebhookList,
    WebhookMade,
    WebhookRequest,
)

__all__ = ["router"]

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=JsonRoute)

_DeliveryId = Annotated[str, Path(max_length=50, pattern=r"^msg_[0-9a-f-]+$")]
_ONE = errors(401, 403, 404, 422)
_ACTIVE = errors(401, 403, 404, 409, 422)


@router.post("", status_code=201, responses=errors(401, 403, 409, 422))
async def add_webhook(request: WebhookRequest, caller: Called, factory: Made) -> WebhookMade:
    """The secret with which messages are signed is told in this answer alone."""
    return await factory.webhooks().add(caller, request)


@router.get("", responses=errors(401, 403))
async def list_webhooks(caller: Called, factory: Made) -> WebhookList:
    return await factory.webhooks().all(caller)


@router.get("/{webhook_id}", responses=_ONE)
async def show_webhook(webhook_id: Id, caller: Called, factory: Made) -> Webhook:
    return await factory.webhooks().show(caller, webhook_id)


@router.delete("/{webhook_id}", status_code=204, responses=_ONE)
async def remove_webhook(webhook_id: Id, caller: Called, factory: Made) -> None:
    """With all of its deliveries."""
    await factory.webhooks().remove(caller, webhook_id)


@router.post("/{webhook_id}/enable", responses=_ONE)
async def enable_webhook(webhook_id: Id, caller: Called, factory: Made) -> Webhook:
    """What it missed meanwhile was not made or is dead; the dead can be replayed."""
    return await factory.webhooks().enable(caller, webhook_id)


@router.post("/{webhook_id}/disable", responses=_ONE)
async def disable_webhook(webhook_id: Id, caller: Called, factory: Made) -> Webhook:
    """Nothing more is sent there; what waited is dead."""
    return await factory.webhooks().disable(caller, webhook_id)


@router.post("/{webhook_id}/rotate", responses=_ONE)
async def rotate_secret(webhook_id: Id, caller: Called, factory: Made) -> WebhookMade:
    """A new secret. For 24 hours messages carry a signature by the old one as well."""
    return await factory.webhooks().rotate(caller, webhook_id)


@router.post("/{webhook_id}/ping", status_code=202, responses=_ACTIVE)
async def ping_webhook(webhook_id: Id, caller: Called, factory: Made) -> Delivery:
    """Sends a message that says nothing; ask for the delivery to see how it went."""
    delivery_id = await factory.webhooks().ping(caller, webhook_id)
    return await factory.deliveries().show(caller, webhook_id, delivery_id)


@router.get("/{webhook_id}/deliveries", responses=_ONE)
async def list_deliveries(
    webhook_id: Id,
    caller: Called,
    factory: Made,
    state: Annotated[DeliveryState | None, Query()] = None,
    cursor: Cursor = None,
    limit: PageLimit = 50,
) -> DeliveryPage:
    """Newest first; those that were delivered are kept for 7 days, dead ones for 30."""
    return await factory.deliveries().page(caller, webhook_id, state=state, cursor=cursor, limit=limit)


@router.get("/{webhook_id}/deliveries/{delivery_id}", responses=_ONE)
async def show_delivery(webhook_id: Id, delivery_id: _DeliveryId, caller: Called, factory: Made) -> Delivery:
    return await factory.deliveries().show(caller, webhook_id, delivery_id)


@router.post("/{webhook_id}/deliveries/{delivery_id}/replay", status_code=202, responses=_ACTIVE)
async def replay_delivery(
    webhook_id: Id, delivery_id: _DeliveryId, caller: Called, factory: Made
) -> Delivery:
    """Sends it again at once, under the same `webhook-id`."""
    return await factory.deliveries().replay(caller, webhook_id, delivery_id)


@router.post("/{webhook_id}/replay", status_code=202, responses=_ACTIVE)
async def replay_dead(webhook_id: Id, request: ReplayRequest, caller: Called, factory: Made) -> Replayed:
    """Sends every dead delivery again that was made since then."""
    return await factory.deliveries().replay_dead(caller, webhook_id, request)
