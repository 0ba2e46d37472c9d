"""What a call to the cloud may end with.

UsageError      SignInNeeded 401 · NotAllowed 403 · NeedsCredits 402 · PlanLimit 402 · NotFound 404
                Conflict 409 · EventsGone 410 · TooLarge 413 · RequestRefused (any other 4xx)
TransientError  RateLimited 429 · ServerTrouble (5xx, and what passes by itself) · Unreachable (no answer)
                NotTheCloud (an answer, but not from Safelight) · DownloadBroken
"""

from shared.errors import JsonValue, TransientError, UsageError

__all__ = [
    "CloudRefusal",
    "Conflict",
    "DownloadBroken",
    "EventsGone",
    "NeedsCredits",
    "NotAllowed",
    "NotFound",
    "NotTheCloud",
    "PlanLimit",
    "RateLimited",
    "RequestRefused",
    "ServerTrouble",
    "SignInNeeded",
    "TooLarge",
    "Unreachable",
]


class CloudRefusal(UsageError):
    """The cloud understood and refused. `wire_code` is the stable code that it gave."""

    code = "cloud_refused"

    def __init__(
        self, message: str, *, wire_code: str, request_id: str | None = None, **details: JsonValue
    ) -> None:
        super().__init__(message, **details)
        self.wire_code = wire_code
        self.request_id = request_id


class SignInNeeded(CloudRefusal):
    code = "sign_in_needed"


class NotAllowed(CloudRefusal):
    code = "not_allowed"


class NeedsCredits(CloudRefusal):
    """`details` carry balance, price and the link where credits are had."""

    code = "needs_credits"


class PlanLimit(CloudRefusal):
    """`details` name the limit and a link to larger plans, and say when it begins anew if it does."""

    code = "plan_limit"


class NotFound(CloudRefusal):
    code = "not_found"


class Conflict(CloudRefusal):
    code = "conflict"


class EventsGone(CloudRefusal):
    """The events asked for are older than the server keeps them: ask for the job instead."""

    code = "events_gone"


class TooLarge(CloudRefusal):
    code = "too_large"


class RequestRefused(CloudRefusal):
    code = "request_refused"


class RateLimited(TransientError):
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class ServerTrouble(TransientError):
    """The cloud failed or is busy; `retry_after_s` if it said when to come back."""

    code = "server_trouble"

    def __init__(self, message: str, *, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message, status=status, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class Unreachable(TransientError):
    code = "cloud_unreachable"


class NotTheCloud(TransientError):
    """Something answered in the cloud's place: a captive portal, a proxy, another program."""

    code = "not_the_cloud"


class DownloadBroken(TransientError):
    """The bytes that came are not those that were promised."""

    code = "download_broken"
