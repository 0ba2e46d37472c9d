"""When a call to the cloud is tried again: transient ends only, with a bound and jitter."""

from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay, stop_any
from tenacity.wait import wait_random_exponential

from shared.errors import TransientError
from shared.sdk.errors import RateLimited, ServerTrouble

__all__ = ["RETRY", "STOP", "wait_before_retry"]

_LONGEST_WAIT_S = 30.0  # a longer Retry-After is for the caller to keep

_jitter = wait_random_exponential(multiplier=0.2, max=5.0)


def _worth_another_try(error: BaseException) -> bool:
    if isinstance(error, RateLimited | ServerTrouble) and (error.retry_after_s or 0) > _LONGEST_WAIT_S:
        return False
    return isinstance(error, TransientError)


def wait_before_retry(state: RetryCallState) -> float:
    """Seconds: what the server asked for, and some jitter."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked_s = error.retry_after_s if isinstance(error, RateLimited | ServerTrouble) else None
    return (asked_s or 0.0) + _jitter(state)


RETRY = retry_if_exception(_worth_another_try)
STOP = stop_any(stop_after_attempt(6), stop_after_delay(60))
