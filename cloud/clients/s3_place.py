"""Where in S3 the artifacts are kept, as the settings say it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from cloud.errors import BadSettings

__all__ = ["S3Place", "parse_s3_url"]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+")
_OPTIONS = frozenset({"region", "endpoint", "public_endpoint"})
_FORM = "s3://bucket/prefix?region=eu-central-1&endpoint=https://host"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """A bucket and the prefix of every key. `endpoint` is where we reach the store, `public_endpoint`
    where clients do."""

    bucket: str
    prefix: str
    region: str
    endpoint: str
    public_endpoint: str

    def full_key(self, key: str) -> str:
        """`key` below the prefix."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def public_url(self, key: str) -> str:
        return f"{self.public_endpoint}/{self.bucket}/{quote(self.full_key(key))}"


def parse_s3_url(url: str) -> S3Place:
    """Raises BadSettings, which says what is wrong but repeats nothing."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    prefix = parts.path.strip("/")
    region = options.get("region", "us-east-1")
    endpoint = options.get("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    public_endpoint = options.get("public_endpoint", endpoint).rstrip("/")
    problem = _problem(parts.netloc, prefix, options.keys(), (endpoint, public_endpoint))
    if problem is not None:
        raise BadSettings(f"SAFELIGHT_STORAGE_URL: {problem}; write {_FORM}", field="SAFELIGHT_STORAGE_URL")
    return S3Place(
        bucket=parts.netloc, prefix=prefix, region=region, endpoint=endpoint, public_endpoint=public_endpoint
    )


def _problem(bucket: str, prefix: str, options: Collection[str], endpoints: Collection[str]) -> str | None:
    if not _BUCKET.fullmatch(bucket):
        return "the bucket's name is no S3 name, or holds credentials, which belong in the environment"
    if prefix and not _PREFIX.fullmatch(prefix):
        return "the prefix may hold letters, digits, - and _, with / between its parts"
    if unknown := sorted(set(options) - _OPTIONS):
        return f"{unknown[0]} is no option"
    if not all(_ENDPOINT.fullmatch(endpoint) for endpoint in endpoints):
        return "an endpoint is http:// or https:// and a host, without a path"
    return None
