"""An account's plan, as its owner sees it and the operator changes it."""

from collections.abc import Callable
from datetime import datetime

import structlog

from cloud.repositories.accounts import User
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.credits import Credits
from cloud.services.periods import period_end, period_of
from cloud.services.plans import Entitlements, Plan, entitlements_of
from shared.api.accounts import Account, PlanLimits, Usage

__all__ = ["Accounts"]

_log = structlog.get_logger(__name__)


class Accounts:
    def __init__(self, *, database: Database, credits: Credits, utcnow: Callable[[], datetime]) -> None:
        self._database = database
        self._credits = credits
        self._utcnow = utcnow

    async def show(self, caller: Caller) -> Account:
        caller.require(Scope.READ)
        period = period_of(self._utcnow())

        def work(unit: Unit) -> tuple[str, int]:
            balance = unit.credits.find(caller.account_id)
            jobs = balance.jobs if balance is not None and balance.period >= period else 0
            return unit.accounts.name_of(caller.account_id), jobs

        name, jobs = await self._database.read(work)
        return Account(
            id=caller.account_id,
            name=name,
            plan=caller.plan,
            limits=_limits(entitlements_of(caller.plan), graphs_allowed=caller.graphs_allowed),
            usage=Usage(period=period, period_ends_at=period_end(period), jobs=jobs),
        )

    async def set_plan(self, user: User, plan: Plan) -> None:
        """Counts at once; what it grants more than the plan before is added to this month's grant."""

        def work(unit: Unit) -> None:
            self._credits.change_plan(unit, user.account_id, Plan(user.plan), plan)
            unit.accounts.set_plan(user.account_id, plan)

        await self._database.write(work)
        _log.info("plan_changed", account=user.account_id, plan=plan.value)

    async def allow_graphs(self, user: User, *, allowed: bool) -> None:
        await self._database.write(lambda unit: unit.accounts.allow_graphs(user.account_id, allowed=allowed))
        _log.info("graphs_allowed", account=user.account_id, allowed=allowed)


def _limits(allowed: Entitlements, *, graphs_allowed: bool) -> PlanLimits:
    return PlanLimits(
        jobs_per_month=allowed.jobs_per_month,
        credits_per_month=allowed.credits_per_month,
        concurrency=allowed.concurrency,
        max_upload_bytes=allowed.max_upload_bytes,
        max_pixels=allowed.max_pixels,
        retention_s=int(allowed.retention.total_seconds()),
        queue_time_s=int(allowed.queue_time.total_seconds()),
        seats=allowed.seats,
        requests_per_minute=allowed.requests_per_minute,
        priorities=sorted(allowed.priorities),
        raw_graphs=allowed.raw_graphs and graphs_allowed,
    )
