"""The file names that the server would give, from prefixes with tokens."""

import posixpath
from collections import Counter
from datetime import datetime

from shared.engines.builtin.pixels import NodeFailed
from shared.naming import safe_name

__all__ = ["OutputNames"]


class OutputNames:
    """Counts files as a fresh output folder would: per folder and prefix, whatever the suffix."""

    def __init__(self, *, now: datetime) -> None:
        self._now = now
        self._taken: Counter[tuple[str, str]] = Counter()

    def batch(self, prefix: str, count: int, *, width: int, height: int, suffix: str) -> list[str]:
        """Base names for `count` files, one for each picture."""
        base, first = self._taken_by(prefix, count, width, height)
        return [
            _name(base.replace("%batch_num%", str(index)), first + index, suffix) for index in range(count)
        ]

    def animation(self, prefix: str, *, width: int, height: int, suffix: str) -> str:
        """The base name of one file that holds all pictures: for these `%batch_num%` is plain text."""
        return _name(*self._taken_by(prefix, 1, width, height), suffix)

    def _taken_by(self, prefix: str, count: int, width: int, height: int) -> tuple[str, int]:
        """The name before the counter, and its first number. Raises NodeFailed for a prefix that
        leaves the folder."""
        filled = posixpath.normpath(self._filled(prefix, width, height))
        if filled.startswith(("/", "../")) or filled == "..":
            raise NodeFailed(f"the file name prefix {prefix!r} leads out of the output folder")
        folder, base = posixpath.split(filled)
        first = self._taken[folder, base] + 1
        self._taken[folder, base] += count
        return base, first

    def _filled(self, prefix: str, width: int, height: int) -> str:
        now = self._now
        values = {"width": str(width), "height": str(height), "year": str(now.year)}
        for part in ("month", "day", "hour", "minute", "second"):
            values[part] = f"{getattr(now, part):02}"
        for token, value in values.items():
            prefix = prefix.replace(f"%{token}%", value)
        return prefix


def _name(base: str, counter: int, suffix: str) -> str:
    return safe_name(f"{base}_{counter:05}_{suffix}")
