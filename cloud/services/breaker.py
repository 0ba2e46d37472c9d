"""The circuit breaker of a server: decisions, and nothing else.

closed → open after some failures in a row → half-open when its time has come and the server
answers → closed once a job has gone well there, or open again for longer.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cloud.repositories.servers import Breaker
from shared.api.servers import BreakerState

__all__ = ["BreakerRules", "after_answer", "after_failure", "after_success", "opened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """It opens after `failures` in a row, for `first`, then twice as long each time, up to `longest`."""

    failures: int = 3
    first: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(minutes=5)


def after_failure(
    breaker: Breaker, trouble: str, *, now: datetime, jitter: float, rules: BreakerRules = BreakerRules()
) -> Breaker:
    """`jitter` lies between 0 and 1, and is drawn anew each time."""
    counted = replace(breaker, failures=breaker.failures + 1, trouble=trouble)
    if breaker.state is BreakerState.CLOSED and counted.failures < rules.failures:
        return counted
    return opened(counted, trouble, now=now, jitter=jitter, rules=rules)


def opened(
    breaker: Breaker, trouble: str, *, now: datetime, jitter: float, rules: BreakerRules = BreakerRules()
) -> Breaker:
    """At once, whatever was counted. When its time had come and it fails again, it pauses for longer."""
    if breaker.state is BreakerState.OPEN and breaker.retry_at is not None and breaker.retry_at > now:
        return breaker
    pause = min(rules.first * 2 ** min(breaker.openings, 20), rules.longest)
    return replace(
        breaker,
        state=BreakerState.OPEN,
        openings=breaker.openings + 1,
        opened_at=now if breaker.state is BreakerState.CLOSED else breaker.opened_at,
        retry_at=now + pause * (0.8 + 0.4 * jitter),
        trouble=trouble,
    )


def after_answer(breaker: Breaker, *, now: datetime) -> Breaker:
    """The server has answered: an open breaker whose time has come lets one job try."""
    if breaker.state is BreakerState.OPEN and (breaker.retry_at is None or breaker.retry_at <= now):
        return replace(breaker, state=BreakerState.HALF_OPEN, failures=0)
    return breaker


def after_success(breaker: Breaker) -> Breaker:
    """A job has gone well there."""
    if breaker.state is BreakerState.OPEN:
        return breaker  # it began before the trouble
    return Breaker()
