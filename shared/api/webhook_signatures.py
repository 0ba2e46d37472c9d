"""Signatures of webhooks in the form of https://www.standardwebhooks.com: both ends make the same."""

import base64
import binascii
import hashlib
import hmac
import secrets

from shared.errors import UsageError

__all__ = [
    "ID_HEADER",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "BadWebhookSecret",
    "new_webhook_secret",
    "webhook_signature",
]

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

_PREFIX = "whsec_"
_BYTES = 32
_FEWEST = 16


class BadWebhookSecret(UsageError):
    code = "bad_webhook_secret"


def new_webhook_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def webhook_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One of those that the header lists. `timestamp` is in seconds. Raises BadWebhookSecret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadWebhookSecret("this is no webhook secret; it begins with whsec_") from error
    if len(key) < _FEWEST:
        raise BadWebhookSecret("this webhook secret is too short")
    return key
