"""Whether the machine slept between two ticks. Pure."""

import time
from dataclasses import dataclass

__all__ = ["Moment", "slept"]

_SLEPT_S = 10.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The same instant by the clock on the wall and by the one that may stop in sleep; seconds."""

    wall: float
    monotonic: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.time(), time.monotonic())


def slept(before: Moment, now: Moment, *, expected_s: float) -> bool:
    """Whether far more time passed than `expected_s`, by either clock."""
    passed = max(now.wall - before.wall, now.monotonic - before.monotonic)
    return passed > expected_s + _SLEPT_S
