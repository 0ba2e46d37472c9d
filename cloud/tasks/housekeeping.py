"""The chores of the cloud, and who does them: ARQ where there is a Redis, timers on one box.

ARQ gives each turn to one process, and a turn is lost with the process that took it. What others
wait for, taking jobs back from the dead, therefore has a timer in every process that works.
"""

import asyncio

from cloud.context import ProcessContext
from cloud.factory import Factory
from cloud.tasks.arq_worker import run_on_arq
from cloud.tasks.chore import Chore
from cloud.tasks.timers import run_on_timers

__all__ = ["chores", "keep_house"]

_OUTBOX_EVERY_S = 5.0
_EXPIRY_EVERY_S = 10.0
_RETENTION_EVERY_S = 600.0
_PERIODS_EVERY_S = 600.0
_AUDIT_EVERY_S = 1800.0
_SWEEP_EVERY_S = 24 * 3600.0


def _reaping(context: ProcessContext) -> Chore:
    reaping = Factory(context).reaping()

    async def reap() -> int:
        count = await reaping.reap()
        context.metrics.leases_lost(count)
        return count

    return Chore("reap", context.settings.reap_every_s, reap)


def _sweeping(context: ProcessContext) -> tuple[Chore, ...]:
    """Too long for a turn, and files left behind are this machine's own."""
    factory = Factory(context)
    return (
        Chore("sweep_artifacts", _SWEEP_EVERY_S, factory.collection().sweep),
        Chore("sweep_runs", _SWEEP_EVERY_S, factory.run_files().sweep),
    )


def chores(context: ProcessContext) -> tuple[Chore, ...]:
    """All others."""
    factory = Factory(context)
    return (
        Chore("publish", _OUTBOX_EVERY_S, factory.publisher().publish),
        Chore("expire", _EXPIRY_EVERY_S, factory.waiting().expire),
        Chore("forget_workers", _RETENTION_EVERY_S, factory.leading().forget_workers),
        Chore("collect", context.settings.collect_every_s, factory.collection().collect),
        Chore("begin_periods", _PERIODS_EVERY_S, factory.credits().begin_periods),
        Chore("audit_credits", _AUDIT_EVERY_S, factory.credit_audit().go_on),
        Chore("forget_run_times", _RETENTION_EVERY_S, factory.retention().forget_run_times),
        Chore("forget_old_events", _RETENTION_EVERY_S, factory.retention().forget_old_events),
        Chore("forget_old_answers", _RETENTION_EVERY_S, factory.retention().forget_old_answers),
        Chore("forget_fetches", _RETENTION_EVERY_S, factory.input_fetcher().forget),
        Chore("forget_deliveries", _RETENTION_EVERY_S, factory.webhook_sender().forget),
    )


async def keep_house(context: ProcessContext) -> None:
    """Until cancelled."""
    own = (_reaping(context), *_sweeping(context))
    async with asyncio.TaskGroup() as house:
        if context.settings.redis_url is None:
            house.create_task(run_on_timers((*own, *chores(context))), name="timers")
        else:
            house.create_task(run_on_timers(own), name="timers")
            house.create_task(run_on_arq(chores(context), redis_url=context.settings.redis_url), name="turns")
