"""Links that carry their own permission: what may be done with which bytes, until when, and our seal."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cloud.errors import LinkExpired

__all__ = ["Download", "LinkSigner", "Upload"]


@dataclass(frozen=True, slots=True)
class Upload:
    account_id: str
    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Download:
    """`name` is what a browser saves the bytes under."""

    account_id: str
    digest: str
    bytes: int
    media_type: str
    name: str


_T = TypeVar("_T", Upload, Download)


class LinkSigner:
    def __init__(self, *, secret: bytes, valid_for: timedelta, utcnow: Callable[[], datetime]) -> None:
        self._secret = secret
        self._valid_for = valid_for
        self._utcnow = utcnow

    def sign(self, permission: Upload | Download) -> tuple[str, datetime]:
        """A token for a URL, and the time when it ends."""
        until = (self._utcnow() + self._valid_for).replace(microsecond=0)
        claims = {"what": type(permission).__name__, "until": int(until.timestamp()), **asdict(permission)}
        payload = _encode(json.dumps(claims, separators=(",", ":")).encode())
        return f"{payload}.{self._seal(payload)}", until

    def read(self, token: str, kind: type[_T]) -> _T:
        """Raises LinkExpired for whatever we did not sign for this, or no longer stand by."""
        payload, _, seal = token.partition(".")
        if not hmac.compare_digest(self._seal(payload).encode(), seal.encode("utf-8", "replace")):
            raise LinkExpired("this link is not one of ours; ask for a new one")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims.pop("what") != kind.__name__ or claims.pop("until") < self._utcnow().timestamp():
            raise LinkExpired("this link has expired; ask for a new one")
        return kind(**claims)

    def _seal(self, payload: str) -> str:
        return _encode(
            hmac.new(self._secret, b"link:" + payload.encode("utf-8", "replace"), hashlib.sha256).digest()
        )


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
