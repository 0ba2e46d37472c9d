"""Secrets that are none: written down in examples, or too regular to be drawn by chance."""

import base64
import binascii
import re
from itertools import pairwise
from urllib.parse import unquote, urlsplit

__all__ = ["weak_password_of", "weakness_of", "weakness_of_key"]

_PLACEHOLDER = re.compile(r"change.?me|placeholder|your.?secret|default|example|insecure", re.IGNORECASE)
_FEWEST_CHARACTERS = 8  # different ones
_KNOWN = frozenset(
    [
        "safelight",
        "postgres",
        "postgresql",
        "password",
        "passwd",
        "secret",
        "admin",
        "root",
        "minioadmin",
        "minio",
        "redis",
        "test",
        "changeme",
    ]
)


def weakness_of(secret: str) -> str | None:
    """What is wrong with it, in words that go behind its name."""
    if _PLACEHOLDER.search(secret) is not None:
        return "looks like a placeholder"
    if secret.casefold() in _KNOWN:
        return "is known to everybody"
    if _repeats(secret):
        return "repeats itself"
    if len(set(secret)) < _FEWEST_CHARACTERS:
        return "has too few different characters"
    if _mostly_runs(secret):
        return "counts up or down"
    return None


def weakness_of_key(key: str) -> str | None:
    """Of one in base64: what it says may be weak, and what it stands for."""
    try:
        decoded = base64.urlsafe_b64decode(key).decode("latin-1")
    except (ValueError, binascii.Error):
        decoded = key  # the box will say what is wrong with it
    return weakness_of(key) or weakness_of(decoded)


def weak_password_of(url: str) -> str | None:
    """The weakness of the password in a URL; nothing where it has none, since the server may ask for none."""
    parts = urlsplit(url)
    if parts.password is None:
        return None
    password = unquote(parts.password)
    if not password or password.casefold() in _KNOWN | {unquote(parts.username or "").casefold()}:
        return "is known to everybody"
    return "looks like a placeholder" if _PLACEHOLDER.search(password) else None


def _repeats(secret: str) -> bool:
    """Whether it is one part over and over."""
    return len(secret) > 1 and (secret + secret).find(secret, 1) < len(secret)


def _mostly_runs(secret: str) -> bool:
    """Whether more than half of it counts up or down, as 0123456789 and abcdef do."""
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    regular = sum(step == following and abs(step) == 1 for step, following in pairwise(steps))
    return 2 * regular > len(secret)
