"""An account's plan, as its owner sees it and the operator changes it."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from cloud.errors import InvalidRequest
from cloud.repositories.accounts import User
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Operator, Scope
from cloud.services.credits import Credits
from cloud.services.periods import period_end, period_of
from cloud.services.plans import Entitlements, entitlements_of
from shared.api.accounts import Account, Plan, PlanLimits, Usage
from shared.errors import JsonValue

__all__ = ["Accounts"]

_log = structlog.get_logger(__name__)
_POOL = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")


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

    async def set_plan(self, operator: Operator, user: User, plan: Plan) -> None:
        """Counts at once; what it grants more than the plan before is added to this month's grant."""

        def work(unit: Unit) -> None:
            self._credits.change_plan(unit, user.account_id, user.plan, plan)
            unit.accounts.set_plan(user.account_id, plan)
            _audit(unit, operator, "account.plan", user, {"from": user.plan.value, "to": plan.value})

        await self._database.write(work)
        _log.info("plan_changed", account=user.account_id, plan=plan.value)

    async def set_pool(self, operator: Operator, user: User, pool: str | None) -> None:
        """Of new jobs: those that wait stay in the pool that they entered."""
        if pool is not None and _POOL.fullmatch(pool) is None:
            raise InvalidRequest(f"{pool} cannot be the name of a pool; use a-z, 0-9 and -", field="pool")

        def work(unit: Unit) -> None:
            unit.accounts.set_pool(user.account_id, pool)
            _audit(unit, operator, "account.pool", user, {"from": user.pool, "to": pool})

        await self._database.write(work)
        _log.info("pool_changed", account=user.account_id, pool=pool)

    async def allow_graphs(self, operator: Operator, user: User, *, allowed: bool) -> None:
        def work(unit: Unit) -> None:
            unit.accounts.allow_graphs(user.account_id, allowed=allowed)
            _audit(unit, operator, "account.allow_graphs", user, {"allowed": allowed})

        await self._database.write(work)
        _log.info("graphs_allowed", account=user.account_id, allowed=allowed)


def _audit(unit: Unit, operator: Operator, action: str, user: User, details: Mapping[str, JsonValue]) -> None:
    unit.audit.add(operator.name, action, user.account_id, details, request_id=operator.request_id)


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
        server_labels=allowed.server_labels,
    )
