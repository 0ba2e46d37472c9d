"""How long an attempt holds its job unheard, and how often a job is tried."""

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["AttemptRules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRules:
    """`max_crashes` workers lost to one job end it; so do `max_attempts` tries that came to nothing."""

    lease: timedelta = timedelta(seconds=30)
    max_crashes: int = 3
    max_attempts: int = 20
