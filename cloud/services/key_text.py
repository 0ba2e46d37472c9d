"""The text of an API key: `sl_live_`, random characters, and a checksum that finds typing errors."""

import hashlib
import secrets
import string
import zlib

__all__ = ["PREFIX", "key_digest", "looks_right", "new_key", "shown_part"]

PREFIX = "sl_live_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 30  # characters, 178 bits
_CHECKSUM = 6


def new_key() -> str:
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def looks_right(text: str) -> bool:
    """Whether it can be a key at all, told without a database."""
    body, checksum = text[:-_CHECKSUM], text[-_CHECKSUM:]
    right = len(text) == len(PREFIX) + _RANDOM + _CHECKSUM and body.startswith(PREFIX) and text.isascii()
    return right and secrets.compare_digest(_checksum(body), checksum)


def key_digest(text: str) -> str:
    """What is stored. A key has enough chance in it for a fast hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def shown_part(text: str) -> str:
    return text[: len(PREFIX) + 4]


def _checksum(body: str) -> str:
    """CRC-32 in base 62, six digits."""
    number, digits = zlib.crc32(body.encode()), ""
    while len(digits) < _CHECKSUM:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
