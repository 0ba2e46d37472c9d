"""Webhooks as their account sees and changes them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from cloud.clients.queue import Bell, Queue
from cloud.clients.safe_http import SafeHttp
from cloud.clients.secret_box import SecretBox
from cloud.clients.user_url import AddressRefused
from cloud.errors import Conflict, InvalidRequest, NotFound
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.repositories.webhooks import NewWebhook, WebhookRecord
from cloud.services.callers import Caller, Scope
from cloud.services.webhook_messages import disabled_message, ping_message, tell
from shared.api.webhook_signatures import new_webhook_secret
from shared.api.webhooks import Webhook, WebhookList, WebhookMade, WebhookRequest, WebhookState
from shared.ids import new_id

__all__ = ["Webhooks", "disable", "found_webhook", "require_active"]

_log = structlog.get_logger(__name__)

_MOST = 20
_OLD_SECRET_FOR = timedelta(hours=24)


class Webhooks:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        http: SafeHttp,
        box: SecretBox,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._http = http
        self._box = box
        self._utcnow = utcnow

    async def add(self, caller: Caller, request: WebhookRequest) -> WebhookMade:
        """Raises InvalidRequest, which names the field, and Conflict."""
        caller.require(Scope.WRITE)
        try:
            self._http.check(request.url)
        except AddressRefused as error:
            raise InvalidRequest(error.message, field="url") from error
        secret = new_webhook_secret()
        new = NewWebhook(
            id=new_id(),
            account_id=caller.account_id,
            url=request.url.strip(),
            description=request.description,
            kinds=sorted(set(request.events)),
            secret=self._box.seal(secret),
        )

        def work(unit: Unit) -> WebhookRecord:
            if unit.webhooks.count(caller.account_id) >= _MOST:
                raise Conflict(f"an account has at most {_MOST} webhooks; remove one first")
            return unit.webhooks.add(new)

        made = await self._database.write(work)
        _log.info("webhook_added", account=caller.account_id, webhook=made.id)
        return WebhookMade(webhook=_view(made, self._utcnow()), secret=secret)

    async def all(self, caller: Caller) -> WebhookList:
        caller.require(Scope.READ)
        found = await self._database.read(lambda unit: unit.webhooks.all(caller.account_id))
        return WebhookList(webhooks=[_view(webhook, self._utcnow()) for webhook in found])

    async def show(self, caller: Caller, webhook_id: str) -> Webhook:
        caller.require(Scope.READ)
        found = await self._database.read(lambda unit: found_webhook(unit, caller, webhook_id))
        return _view(found, self._utcnow())

    async def enable(self, caller: Caller, webhook_id: str) -> Webhook:
        """What it missed meanwhile is not sent unless it is replayed."""
        return await self._changed(caller, webhook_id, lambda unit: unit.webhooks.enable(webhook_id))

    async def disable(self, caller: Caller, webhook_id: str) -> Webhook:
        """What waits for it is dead."""

        def work(unit: Unit) -> None:
            disable(unit, caller.account_id, webhook_id, "its account disabled it")

        return await self._changed(caller, webhook_id, work)

    async def rotate(self, caller: Caller, webhook_id: str) -> WebhookMade:
        """A new secret; for a day messages are signed with the one before it as well."""
        secret = new_webhook_secret()
        sealed = self._box.seal(secret)
        webhook = await self._changed(
            caller,
            webhook_id,
            lambda unit: unit.webhooks.rotate(webhook_id, sealed, old_for=_OLD_SECRET_FOR),
        )
        return WebhookMade(webhook=webhook, secret=secret)

    async def remove(self, caller: Caller, webhook_id: str) -> None:
        """With all that it was told."""
        caller.require(Scope.WRITE)

        def work(unit: Unit) -> None:
            found_webhook(unit, caller, webhook_id)
            unit.webhooks.remove(webhook_id)

        await self._database.write(work)
        _log.info("webhook_removed", account=caller.account_id, webhook=webhook_id)

    async def ping(self, caller: Caller, webhook_id: str) -> str:
        """The id of a delivery that says nothing. Raises Conflict if it is disabled."""
        caller.require(Scope.WRITE)
        message = ping_message(webhook_id, self._utcnow())

        def work(unit: Unit) -> None:
            require_active(found_webhook(unit, caller, webhook_id))
            unit.deliveries.add([webhook_id], message)

        await self._database.write(work)
        await self._queue.ring(Bell.EVENTS)
        return message.id

    async def _changed(self, caller: Caller, webhook_id: str, change: Callable[[Unit], None]) -> Webhook:
        caller.require(Scope.WRITE)

        def work(unit: Unit) -> WebhookRecord:
            found_webhook(unit, caller, webhook_id)
            change(unit)
            return found_webhook(unit, caller, webhook_id)

        webhook = await self._database.write(work)
        _log.info("webhook_changed", account=caller.account_id, webhook=webhook_id, state=webhook.state)
        return _view(webhook, self._utcnow())


def disable(unit: Unit, account_id: str, webhook_id: str, reason: str) -> bool:
    """With what waits for it; the account's others are told. False if it was."""
    webhook = unit.webhooks.find(account_id, webhook_id)
    if webhook is None or not unit.webhooks.disable(webhook_id, reason):
        return False
    unit.deliveries.give_up(webhook_id, f"the webhook was disabled: {reason}")
    tell(unit, unit.webhooks.listening(account_id), disabled_message(webhook, reason, datetime.now(UTC)))
    _log.warning("webhook_disabled", account=account_id, webhook=webhook_id)
    return True


def found_webhook(unit: Unit, caller: Caller, webhook_id: str) -> WebhookRecord:
    webhook = unit.webhooks.find(caller.account_id, webhook_id)
    if webhook is None:
        raise NotFound("there is no such webhook", webhook=webhook_id)
    return webhook


def require_active(webhook: WebhookRecord) -> None:
    if webhook.state is not WebhookState.ACTIVE:
        raise Conflict(f"this webhook is disabled ({webhook.reason}); enable it first", webhook=webhook.id)


def _view(webhook: WebhookRecord, now: datetime) -> Webhook:
    until = webhook.old_secret_until
    return Webhook(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.kinds),
        description=webhook.description,
        state=webhook.state,
        reason=webhook.reason,
        failing_since=webhook.failing_since,
        created_at=webhook.created_at,
        disabled_at=webhook.disabled_at,
        old_secret_until=until if until is not None and until > now else None,
    )
