"""Identifiers: random ones for things, derived ones for things that must be found again."""

import hashlib
import uuid

__all__ = ["derived_key", "new_id"]


def new_id() -> str:
    """A random UUID in canonical lower case; newer ComfyUI servers accept no other prompt id."""
    return str(uuid.uuid4())


def derived_key(*parts: str) -> str:
    """SHA-256 (hex) over length-prefixed parts, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
