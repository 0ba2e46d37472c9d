"""The chores of the cloud, and who does them: ARQ where there is a Redis, timers on one box."""

from cloud.factory import Factory, ProcessContext
from cloud.tasks.arq_worker import run_on_arq
from cloud.tasks.chore import Chore
from cloud.tasks.timers import run_on_timers

__all__ = ["chores", "keep_house"]

_OUTBOX_EVERY_S = 5.0
_EXPIRY_EVERY_S = 30.0
_RETENTION_EVERY_S = 600.0


def chores(context: ProcessContext) -> tuple[Chore, ...]:
    factory = Factory(context)
    return (
        Chore("reap", context.settings.reap_every_s, factory.attempts().reap),
        Chore("publish", _OUTBOX_EVERY_S, factory.publisher().publish),
        Chore("expire", _EXPIRY_EVERY_S, factory.waiting().expire),
        Chore("forget_seats", _RETENTION_EVERY_S, factory.waiting().forget_seats),
        Chore("forget_old_events", _RETENTION_EVERY_S, factory.retention().forget_old_events),
    )


async def keep_house(context: ProcessContext) -> None:
    """Until cancelled."""
    if context.settings.redis_url is None:
        await run_on_timers(chores(context))
    else:
        await run_on_arq(chores(context), redis_url=context.settings.redis_url)
