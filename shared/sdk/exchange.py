"""One request and its answer, as values: what the two faces carry for the one core."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from shared.errors import JsonValue
from shared.sdk.errors import (
    CloudRefusal,
    Conflict,
    EventsGone,
    NeedsCredits,
    NotAllowed,
    NotFound,
    NotTheCloud,
    PlanLimit,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    SignInNeeded,
    TooLarge,
)

__all__ = ["Answer", "Request", "checked"]

_REFUSALS: Mapping[int, type[CloudRefusal]] = {
    401: SignInNeeded,
    402: NeedsCredits,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: EventsGone,
    413: TooLarge,
}
_PASSING = frozenset({"in_flight", "too_slow"})  # our own request that came before, or a slow network
_DEFAULT_RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`url` is a path of the API, or with `signed` a link that is used without the key.

    `upload` is a file to send as the body, or `parts` are its bytes, each with how many of them are of a
    file; `on_sent` hears of a file's bytes as they go, `sink` is where to write the body of a success.
    A `followed` one may be answered by a stream, whose first frame counts as the body.
    Each may be sent again when its answer was lost: it names the thing that it makes, by a digest or an
    idempotency key.
    """

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: JsonValue = None
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: Path | None = None
    parts: Sequence[tuple[bytes, int]] = ()
    on_sent: Callable[[int], None] | None = None
    sink: BinaryIO | None = None
    signed: bool = False
    followed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is empty where the body went into the request's sink; `digest` is its SHA-256 then."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    digest: str | None = None


def checked(answer: Answer) -> Answer:
    """The answer if it is a success of the API; raises what it says otherwise."""
    if answer.status < 300 and not _is_html(answer):
        return answer
    if _is_html(answer) or answer.status < 400:
        raise NotTheCloud(
            "something other than the Safelight cloud answered; check the network's sign-in page "
            "or the server address",
            status=answer.status,
        )
    code, message, details, request_id = _envelope(answer)
    if answer.status == 429:
        raise RateLimited(
            message or "the cloud asks for a pause",
            retry_after_s=_retry_after_s(answer) or _DEFAULT_RETRY_AFTER_S,
        )
    if answer.status >= 500 or code in _PASSING:
        raise ServerTrouble(
            message or "the cloud is in trouble; it will be tried again",
            status=answer.status,
            retry_after_s=_retry_after_s(answer),
        )
    kind = PlanLimit if code == PlanLimit.code else _REFUSALS.get(answer.status, RequestRefused)
    raise kind(
        message or f"the cloud refused the request ({answer.status})",
        wire_code=code,
        request_id=request_id,
        **details,
    )


def _is_html(answer: Answer) -> bool:
    """A page; stores may call the nothing that they answer to an upload one too."""
    has_body = bool(answer.body) or answer.digest is not None
    return has_body and answer.headers.get("content-type", "").startswith("text/html")


def _envelope(answer: Answer) -> tuple[str, str, dict[str, JsonValue], str | None]:
    """The fields of the error envelope; empty ones where the body is no envelope."""
    try:
        error = json.loads(answer.body)["error"]
        details = error.get("details") or {}
        reserved = {"message", "wire_code", "request_id", "self"}
        named = {str(name): value for name, value in details.items() if name not in reserved}
        return str(error["code"]), str(error["message"]), named, error.get("request_id")
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", "", {}, answer.headers.get("x-request-id")


def _retry_after_s(answer: Answer) -> float | None:
    """Seconds, from a number or a date."""
    value = answer.headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
