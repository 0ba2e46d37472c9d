"""What becomes of a delivery after a try."""

import random
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Again", "Dead", "Delivered", "Tried", "after_try", "gives_up"]

_GONE = 410
_STEPS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)  # three days, and some hours
_JITTER = 0.1
_LONGEST_FAILING = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try went: what was answered, or, without an answer, what the trouble was."""

    status: int | None
    problem: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class Again:
    after: timedelta


@dataclass(frozen=True, slots=True)
class Dead:
    """`is_gone` says that nothing will ever be taken there."""

    is_gone: bool = False


def after_try(tried: Tried, tries: int) -> Delivered | Again | Dead:
    """`tries` counts this one."""
    if tried.status is not None and 200 <= tried.status < 300:
        return Delivered()
    if tried.status == _GONE:
        return Dead(is_gone=True)
    if tries > len(_STEPS):
        return Dead()
    step = _STEPS[tries - 1] * random.uniform(1, 1 + _JITTER)
    return Again(max(step, tried.retry_after or step))


def gives_up(failing_for: timedelta) -> bool:
    """Whether a webhook to which nothing was delivered for so long is disabled."""
    return failing_for > _LONGEST_FAILING
