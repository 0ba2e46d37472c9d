"""Whether a request to S3 is signed by a key we know, with Signature Version 4, and still in time.

moto itself lets everything through, so that this stands before it.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

__all__ = ["Refused", "SignedRequest", "check_signature"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_SKEW = timedelta(minutes=15)
_STAMP = "%Y%m%dT%H%M%SZ"


class Refused(Exception):
    """`code` is S3's own word for it."""

    def __init__(self, code: str, status: int = 403) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class SignedRequest:
    """`headers` have lower-case names; `url` is as it was asked for."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


def check_signature(request: SignedRequest, secrets: Mapping[str, str], *, now: datetime) -> None:
    """Raises Refused."""
    query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    if "X-Amz-Signature" in query:
        _check_link(request, query, secrets, now)
    elif request.headers.get("authorization", "").startswith(_ALGORITHM):
        _check_headers(request, secrets, now)
    else:
        raise Refused("AccessDenied")
    _check_body(request)


def _check_link(
    request: SignedRequest, query: Mapping[str, str], secrets: Mapping[str, str], now: datetime
) -> None:
    signed_at = datetime.strptime(query["X-Amz-Date"], _STAMP).replace(tzinfo=UTC)
    if not signed_at - _SKEW <= now <= signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
        raise Refused("AccessDenied")
    bare, _, signed_query = request.url.partition("?")
    rest = [pair for pair in signed_query.split("&") if not pair.startswith("X-Amz-Signature=")]
    _compare(
        S3SigV4QueryAuth,
        _asked(request, f"{bare}?{'&'.join(rest)}", query["X-Amz-SignedHeaders"], query["X-Amz-Date"]),
        query["X-Amz-Credential"],
        query["X-Amz-Signature"],
        secrets,
    )


def _check_headers(request: SignedRequest, secrets: Mapping[str, str], now: datetime) -> None:
    parts = dict(
        part.strip().split("=", 1)
        for part in request.headers["authorization"].removeprefix(_ALGORITHM).split(",")
    )
    stamp = request.headers.get("x-amz-date", "")
    if abs(now - datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)) > _SKEW:
        raise Refused("RequestTimeTooSkewed")
    if "x-amz-content-sha256" not in parts["SignedHeaders"].split(";"):
        raise Refused("AccessDenied")
    asked = _asked(request, request.url, parts["SignedHeaders"], stamp)
    _compare(S3SigV4Auth, asked, parts["Credential"], parts["Signature"], secrets)


def _asked(request: SignedRequest, url: str, signed: str, stamp: str) -> AWSRequest:
    names = signed.split(";")
    if "host" not in names:
        raise Refused("AccessDenied")
    # S3 wants every x-amz- header signed: an unsigned one would be the caller's own addition.
    strays = {name for name in request.headers if name.startswith("x-amz-")} - set(names)
    if strays:
        raise Refused("AccessDenied")
    headers = {name: request.headers.get(name, "") for name in names}
    asked = AWSRequest(method=request.method, url=url, headers=headers, data=request.body)
    asked.context["timestamp"] = stamp
    return asked


def _compare(
    kind: type[S3SigV4Auth] | type[S3SigV4QueryAuth],
    asked: AWSRequest,
    credential: str,
    signature: str,
    secrets: Mapping[str, str],
) -> None:
    key_id, _day, region, service, _end = credential.split("/")
    if key_id not in secrets:
        raise Refused("InvalidAccessKeyId")
    auth = kind(Credentials(key_id, secrets[key_id]), service, region)
    expected = auth.signature(auth.string_to_sign(asked, auth.canonical_request(asked)), asked)
    if not hmac.compare_digest(expected, signature):
        raise Refused("SignatureDoesNotMatch")


def _check_body(request: SignedRequest) -> None:
    """The sums that were signed with the request are those of what came."""
    digest = hashlib.sha256(request.body)
    named = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    if named not in {"UNSIGNED-PAYLOAD", digest.hexdigest()}:
        raise Refused("XAmzContentSHA256Mismatch", 400)
    told = request.headers.get("x-amz-checksum-sha256")
    if told is not None and request.method == "PUT" and base64.b64encode(digest.digest()).decode() != told:
        raise Refused("BadDigest", 400)
