"""How many jobs of an account are at work at once, by its plan."""

from dataclasses import replace

from cloud.repositories.lanes import Backlog
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan

__all__ = ["is_over", "without_full_accounts"]


def without_full_accounts(backlog: Backlog) -> Backlog:
    """The lanes of accounts that may have one more job at work."""
    lanes = tuple(
        lane
        for lane in backlog.lanes
        if not is_over(backlog.plans[lane.account_id], backlog.running.get(lane.account_id, 0) + 1)
    )
    return replace(backlog, lanes=lanes)


def is_over(plan: Plan, at_work: int) -> bool:
    return at_work > entitlements_of(plan).concurrency
