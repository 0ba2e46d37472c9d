"""What may go wrong in the cloud, and what the API answers then.

UsageError      NotFound 404 · NotAllowed 403 · SignInNeeded 401 · Conflict 409 · KeyReused 422
                EventsGone 410 · InvalidRequest 422 · TooLarge 413 · LinkExpired 403
                InputNotReady 422 · NeedsCredits 402 · PlanLimit 402 · PriceChanged 409 · BadSettings
TransientError  InFlight 409 · TooManyRequests 429 · DatabaseUnavailable 503 · DatabaseBusy 503
                InspectionFailed 503 · MachineExhausted 503
FatalError      Fenced: the attempt is no longer ours, stop
"""

import errno

from shared.errors import FatalError, TransientError, UsageError

__all__ = [
    "BadSettings",
    "BeingDeleted",
    "Conflict",
    "DatabaseBusy",
    "DatabaseUnavailable",
    "EventsGone",
    "Fenced",
    "InFlight",
    "InputNotReady",
    "InspectionFailed",
    "InvalidRequest",
    "KeyReused",
    "LinkExpired",
    "MachineExhausted",
    "NeedsCredits",
    "NotAllowed",
    "NotFound",
    "PlanLimit",
    "PriceChanged",
    "SignInNeeded",
    "TooLarge",
    "TooManyRequests",
    "is_exhaustion",
]

_EXHAUSTION = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class BadSettings(UsageError):
    code = "bad_settings"


class InvalidRequest(UsageError):
    code = "invalid_request"


class NotFound(UsageError):
    code = "not_found"


class SignInNeeded(UsageError):
    code = "sign_in_needed"


class NotAllowed(UsageError):
    code = "not_allowed"


class LinkExpired(UsageError):
    code = "link_expired"


class Conflict(UsageError):
    code = "conflict"


class KeyReused(UsageError):
    """The Idempotency-Key stands for another request."""

    code = "idempotency_key_reused"


class EventsGone(UsageError):
    """The events asked for are no longer kept."""

    code = "events_gone"


class TooLarge(UsageError):
    code = "too_large"


class InputNotReady(UsageError):
    code = "input_not_ready"


class NeedsCredits(UsageError):
    """`details` carry the balance, the price and the link to more."""

    code = "needs_credits"


class PlanLimit(UsageError):
    """The account's plan does not have this; `details` name the limit, and when it begins anew."""

    code = "plan_limit"


class PriceChanged(UsageError):
    """The price is above what the request would pay."""

    code = "price_changed"


class InFlight(TransientError):
    """The first request with this Idempotency-Key has not ended."""

    code = "in_flight"


class TooManyRequests(TransientError):
    """`details` carry the limit, and `retry_after_s`."""

    code = "rate_limited"


class DatabaseUnavailable(TransientError):
    code = "database_unavailable"


class DatabaseBusy(TransientError):
    """A lock or a connection did not come free in time."""

    code = "database_busy"


class BeingDeleted(TransientError):
    """What was asked to be kept is on its way out; it may come again once it is gone."""

    code = "being_deleted"


class InspectionFailed(TransientError):
    """A file could not be looked at just now; nothing is said about the file."""

    code = "inspection_failed"


class MachineExhausted(TransientError):
    """There is no room on a disk of ours, no memory, or no file may be opened any more."""

    code = "machine_exhausted"


def is_exhaustion(error: OSError) -> bool:
    """Whether it says that the machine has come to its limits, rather than that something is wrong."""
    return error.errno in _EXHAUSTION


class Fenced(FatalError):
    """This attempt was taken away or has ended: whoever works on it must stop, and touch nothing."""

    code = "fenced"
