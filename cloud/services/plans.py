"""What each plan allows: the one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.api.accounts import Plan
from shared.api.jobs import Priority

__all__ = ["Entitlements", "asked_priority", "entitlements_of", "lane_priority"]

_MB = 1024 * 1024
_MEGAPIXELS = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlements:
    """Per account: `jobs_per_month` (None: as many as come) and `credits_per_month` by calendar month
    in UTC, `concurrency` jobs at work at once, `retention` of artifacts since they were last used,
    `queue_time` that a job may wait. `priority` is that of a normal job, higher first; `priorities`
    are those a request may ask for, and with `server_labels` it may choose among servers. Raw graphs need
    the account's own permission as well.
    """

    jobs_per_month: int | None
    credits_per_month: int
    concurrency: int
    max_upload_bytes: int
    max_pixels: int
    retention: timedelta
    queue_time: timedelta
    seats: int
    requests_per_minute: int
    priority: int
    priorities: frozenset[Priority]
    raw_graphs: bool
    server_labels: bool


_PLANS: Mapping[Plan, Entitlements] = {
    Plan.FREE: Entitlements(
        jobs_per_month=1000,
        credits_per_month=50,
        concurrency=2,
        max_upload_bytes=64 * _MB,
        max_pixels=32 * _MEGAPIXELS,
        retention=timedelta(days=7),
        queue_time=timedelta(hours=24),
        seats=1,
        requests_per_minute=600,
        priority=0,
        priorities=frozenset({Priority.LOW, Priority.NORMAL}),
        raw_graphs=False,
        server_labels=False,
    ),
    Plan.CREATOR: Entitlements(
        jobs_per_month=20_000,
        credits_per_month=1000,
        concurrency=8,
        max_upload_bytes=256 * _MB,
        max_pixels=64 * _MEGAPIXELS,
        retention=timedelta(days=30),
        queue_time=timedelta(hours=48),
        seats=1,
        requests_per_minute=3000,
        priority=10,
        priorities=frozenset({Priority.LOW, Priority.NORMAL}),
        raw_graphs=False,
        server_labels=False,
    ),
    Plan.STUDIO: Entitlements(
        jobs_per_month=None,
        credits_per_month=10_000,
        concurrency=256,
        max_upload_bytes=512 * _MB,
        max_pixels=128 * _MEGAPIXELS,
        retention=timedelta(days=180),
        queue_time=timedelta(days=7),
        seats=10,
        requests_per_minute=30_000,
        priority=10,
        priorities=frozenset(Priority),
        raw_graphs=True,
        server_labels=True,
    ),
}
_STEPS: Mapping[Priority, int] = {Priority.LOW: -5, Priority.NORMAL: 0, Priority.HIGH: 5}


def entitlements_of(plan: Plan) -> Entitlements:
    return _PLANS[plan]


def lane_priority(entitlements: Entitlements, wanted: Priority) -> int:
    return entitlements.priority + _STEPS[wanted]


def asked_priority(number: int) -> Priority:
    """What a request asked for whose job has this priority, whatever its plan was."""
    for allowed in _PLANS.values():
        for priority in allowed.priorities:
            if lane_priority(allowed, priority) == number:
                return priority
    return Priority.NORMAL
