"""Credits: set aside with a submission, captured when the job completes, given back with any other end."""

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from cloud.errors import Conflict, InvalidRequest, NeedsCredits, PlanLimit
from cloud.repositories.credits import Balance, Reserve
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Scope
from cloud.services.cursors import cut_page, read_cursor
from cloud.services.periods import period_end, period_of
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.api.credits import CreditBalance, CreditEntry, CreditEntryPage, EntryKind
from shared.jobs.state import JobState

__all__ = ["Credits", "settle", "shares"]

_log = structlog.get_logger(__name__)
_ACCOUNTS_AT_ONCE = 200
_MOST_AT_ONCE = 10**9
_LONGEST_NOTE = 500


class Credits:
    """`link` is where more can be had."""

    def __init__(self, *, database: Database, link: str, utcnow: Callable[[], datetime]) -> None:
        self._database = database
        self._link = link
        self._utcnow = utcnow

    def take(self, unit: Unit, caller: Caller, prices: Mapping[str, int]) -> None:
        """Count these jobs and set their prices aside, in the transaction that makes them.

        Raises NeedsCredits and PlanLimit.
        """
        account_id, allowed = caller.account_id, entitlements_of(caller.plan)
        price, period = sum(prices.values()), period_of(self._utcnow())
        taken = unit.credits.take(
            account_id, price=price, jobs=len(prices), max_jobs=allowed.jobs_per_month, period=period
        )
        if taken is None:
            balance = self._begun(unit, account_id, caller.plan)
            taken = unit.credits.take(
                account_id,
                price=price,
                jobs=len(prices),
                max_jobs=allowed.jobs_per_month,
                period=balance.period,
            )
            if taken is None:
                raise self._refusal(caller, balance, price, len(prices))
        if price:
            unit.credits.add_reserves(account_id, shares(prices, taken.from_grant), taken.period)

    async def show(self, caller: Caller) -> CreditBalance:
        caller.require(Scope.READ)
        balance = await self._database.write(lambda unit: self._begun(unit, caller.account_id, caller.plan))
        return CreditBalance(
            available=balance.available,
            granted=balance.granted,
            topped_up=balance.topped_up,
            reserved=balance.reserved,
            credits_per_month=entitlements_of(caller.plan).credits_per_month,
            period=balance.period,
            period_ends_at=period_end(balance.period),
            link=self._link,
        )

    async def entries(self, caller: Caller, *, cursor: str | None, limit: int) -> CreditEntryPage:
        """Newest first."""
        caller.require(Scope.READ)
        before = read_cursor(cursor)
        found = await self._database.read(
            lambda unit: unit.credits.entries(caller.account_id, before=before, limit=limit + 1)
        )
        page, next_cursor = cut_page(found, limit, lambda entry: entry.id)
        return CreditEntryPage(
            entries=[
                CreditEntry(
                    kind=entry.kind,
                    granted=entry.granted,
                    topped_up=entry.topped_up,
                    reserved=entry.reserved,
                    period=entry.period,
                    job=entry.job_id,
                    note=entry.note,
                    at=entry.at,
                )
                for entry in page
            ],
            next_cursor=next_cursor,
        )

    async def balance(self, account_id: str, plan: Plan) -> Balance:
        """For the operator."""
        return await self._database.write(lambda unit: self._begun(unit, account_id, plan))

    async def top_up(self, account_id: str, plan: Plan, amount: int, *, note: str) -> Balance:
        """These never lapse. Raises InvalidRequest."""
        if amount < 1:
            raise InvalidRequest("a top-up is at least one credit", field="amount")
        return await self._change(account_id, plan, EntryKind.TOP_UP, amount, note)

    async def adjust(self, account_id: str, plan: Plan, amount: int, *, note: str) -> Balance:
        """Give back, or take away what is there. Raises InvalidRequest."""
        return await self._change(account_id, plan, EntryKind.ADJUST, amount, note)

    async def refund(self, job_id: str, *, note: str) -> int:
        """Give back what a job was charged; how much that was. Raises InvalidRequest, Conflict."""
        _check_note(note)

        def work(unit: Unit) -> int:
            charge = unit.credits.charge(job_id)
            if charge is None:
                raise InvalidRequest(f"nothing was charged for job {job_id}", job=job_id)
            unit.credits.open_locked(charge.account_id)
            if unit.credits.was_refunded(job_id):
                raise Conflict(f"job {job_id} was refunded before", job=job_id)
            unit.credits.change(charge.account_id, topped_up=charge.price)
            unit.credits.add(
                charge.account_id,
                EntryKind.ADJUST,
                topped_up=charge.price,
                period=period_of(self._utcnow()),
                job_id=job_id,
                note=note,
            )
            return charge.price

        price = await self._database.write(work)
        _log.info("job_refunded", job=job_id, price=price, note=note)
        return price

    async def begin_periods(self) -> int:
        """Grants of the month for accounts that have not asked for theirs; how many there were."""
        period = period_of(self._utcnow())

        def work(unit: Unit) -> int:
            behind = unit.credits.behind(period, _ACCOUNTS_AT_ONCE)
            for account_id, plan in behind:
                self._begun(unit, account_id, plan)
            return len(behind)

        total = 0
        while count := await self._database.write(work):
            total += count
        return total

    def change_plan(self, unit: Unit, account_id: str, old: Plan, new: Plan) -> None:
        """A larger plan's grant counts at once, by what it is larger than all that plans have granted this
        month; a smaller one's from next month."""
        balance = self._begun(unit, account_id, old)
        granted = unit.credits.granted_by_plans(account_id, balance.period)
        more = entitlements_of(new).credits_per_month - granted
        if more > 0:
            unit.credits.change(account_id, granted=more)
            unit.credits.add(
                account_id, EntryKind.ADJUST, granted=more, period=balance.period, note=f"plan {new}"
            )

    async def _change(self, account_id: str, plan: Plan, kind: EntryKind, amount: int, note: str) -> Balance:
        if abs(amount) > _MOST_AT_ONCE:
            raise InvalidRequest(f"at most {_MOST_AT_ONCE} credits change at once", field="amount")
        _check_note(note)

        def work(unit: Unit) -> Balance:
            balance = self._begun(unit, account_id, plan)
            topped_up = max(amount, -balance.topped_up)
            granted = amount - topped_up
            if balance.granted + granted < 0:
                raise InvalidRequest(
                    f"only {balance.available} credits are there to take away", field="amount"
                )
            unit.credits.change(account_id, granted=granted, topped_up=topped_up)
            unit.credits.add(
                account_id, kind, granted=granted, topped_up=topped_up, period=balance.period, note=note
            )
            return unit.credits.open_locked(account_id)

        balance = await self._database.write(work)
        _log.info("credits_changed", account=account_id, kind=kind.value, amount=amount, note=note)
        return balance

    def _begun(self, unit: Unit, account_id: str, plan: Plan) -> Balance:
        """The balance in the present period, locked; what is left of the old grant lapses."""
        balance, period = unit.credits.open_locked(account_id), period_of(self._utcnow())
        if balance.period >= period:
            return balance
        grant = entitlements_of(plan).credits_per_month
        if balance.granted:
            unit.credits.add(account_id, EntryKind.LAPSE, granted=-balance.granted, period=balance.period)
        unit.credits.begin_period(account_id, period, grant)
        unit.credits.add(account_id, EntryKind.GRANT, granted=grant, period=period, note=f"plan {plan}")
        return unit.credits.open_locked(account_id)

    def _refusal(self, caller: Caller, balance: Balance, price: int, jobs: int) -> NeedsCredits | PlanLimit:
        most = entitlements_of(caller.plan).jobs_per_month
        if most is not None and balance.jobs + jobs > most:
            ends = period_end(balance.period)
            return PlanLimit(
                f"the plan {caller.plan} has {most} jobs a month, and {balance.jobs} were submitted; "
                f"wait until {ends:%Y-%m-%d} or choose a larger plan",
                limit="jobs_per_month",
                plan=caller.plan.value,
                max=most,
                used=balance.jobs,
                resets_at=ends.isoformat(),
                link=self._link,
            )
        return NeedsCredits(
            f"this costs {price} credits and {balance.available} are there; get more, or wait for next month",
            balance=balance.available,
            price=price,
            link=self._link,
        )


def _check_note(note: str) -> None:
    if len(note) > _LONGEST_NOTE:
        raise InvalidRequest(f"the reason is longer than {_LONGEST_NOTE} characters", field="note")


def settle(unit: Unit, job_id: str, state: JobState) -> None:
    """Once, with whatever ends a priced job."""
    unit.credits.settle(job_id, EntryKind.CAPTURE if state is JobState.COMPLETED else EntryKind.RELEASE)


def shares(prices: Mapping[str, int], from_grant: int) -> tuple[Reserve, ...]:
    """What each priced job has of what was taken of the grant, the first jobs first."""
    found = []
    for job_id, price in prices.items():
        share = min(price, from_grant)
        from_grant -= share
        if price:
            found.append(Reserve(job_id, share, price - share))
    return tuple(found)
