"""Links that let their holder do one thing with one object in S3, signed by botocore."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

from cloud.clients.s3_place import S3Place
from cloud.errors import BadSettings

__all__ = ["S3Keys", "signed_url"]


class _ForObstore(TypedDict):
    """As obstore asks for credentials."""

    access_key_id: str
    secret_access_key: str
    token: NotRequired[str | None]
    expires_at: datetime | None


class S3Keys:
    """The credentials, renewed by botocore where they are the kind that ends."""

    def __init__(self, *, access_key_id: str | None = None, secret_access_key: str | None = None) -> None:
        """Without any given, the environment's, a profile's or the machine's role's. Raises BadSettings."""
        found = (
            Credentials(access_key_id, secret_access_key)
            if access_key_id and secret_access_key
            else Session().get_credentials()
        )
        if found is None:
            raise BadSettings(
                "there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                field="AWS_ACCESS_KEY_ID",
            )
        self._found = found

    def frozen(self) -> Credentials:
        """As they are now; may ask the machine's metadata service, so call it in a thread."""
        frozen = self._found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def for_obstore(self) -> _ForObstore:
        keys = self.frozen()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": None,
        }


def signed_url(
    place: S3Place,
    keys: Credentials,
    method: str,
    key: str,
    *,
    valid_for: timedelta,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """For exactly this method, key and query; whoever uses it must send exactly these headers."""
    url = place.public_url(key) + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    request = AWSRequest(method=method, url=url, headers=dict(headers or {}))
    S3SigV4QueryAuth(keys, "s3", place.region, int(valid_for.total_seconds())).add_auth(request)
    return str(request.url)
