"""Cursors of pages: opaque to clients, and worthless for another account's rows."""

import base64
import binascii

from cloud.errors import InvalidRequest

__all__ = ["read_cursor", "write_cursor"]

_LARGEST = 2**63 - 1


def write_cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"n{number}".encode()).rstrip(b"=").decode()


def read_cursor(text: str) -> int:
    """Raises InvalidRequest."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        number = int(data.removeprefix(b"n"))
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("this cursor is none of ours", field="cursor") from error
    if not data.startswith(b"n") or not 0 < number <= _LARGEST:
        raise InvalidRequest("this cursor is none of ours", field="cursor")
    return number
