"""Cursors of pages: opaque to clients, and worthless for another account's rows."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from cloud.errors import InvalidRequest

__all__ = ["CURSOR", "cut_page", "read_cursor"]

_T = TypeVar("_T")
_LARGEST = 2**63 - 1

# The letter n and up to sixteen digits, in base64: three bytes are four characters.
_SECOND, _PART = "[AEIMQUYcgk][w-z0-5]", "(?:[MN][DTjz]|O[DT])[AEIMQUYcgk]"
CURSOR = rf"^bj(?:[AEIMQUYcgk]|{_SECOND}(?:{_PART}[w-z0-5]){{0,4}}(?:[MN][AQgw]|O[AQ]|{_PART})?)$"


def cut_page(found: Sequence[_T], limit: int, number: Callable[[_T], int]) -> tuple[Sequence[_T], str | None]:
    """The page, and the cursor of the next one; `found` has one row more than `limit` if there is one."""
    page = found[:limit]
    return page, _written(number(page[-1])) if len(found) > limit else None


def read_cursor(text: str | None) -> int | None:
    """The number after which the page begins; None for the first page. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        number = int(data.removeprefix(b"n"))
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("this cursor is none of ours", field="cursor") from error
    if not data.startswith(b"n") or not 0 <= number <= _LARGEST:
        raise InvalidRequest("this cursor is none of ours", field="cursor")
    return number


def _written(number: int) -> str:
    return base64.urlsafe_b64encode(f"n{number}".encode()).rstrip(b"=").decode()
