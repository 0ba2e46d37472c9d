"""The database's own clock, by which leases are set and judged: one expression per dialect."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Float, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from cloud.tables.types import Moment

__all__ = ["LATER", "NOW", "SEEN_SINCE", "Clock"]

_NOTHING = timedelta(0)


class _Now(FunctionElement[datetime]):
    """Its clauses are how far ahead, as each dialect wants it written."""

    type = Moment()
    inherit_cache = True
    name = "now_plus"


# For statements that are built once: run them with the clock's stamps among their values.
NOW = _Now(bindparam("stamp_s", type_=Float), bindparam("stamp_text", type_=String))
LATER = _Now(bindparam("later_s", type_=Float), bindparam("later_text", type_=String))
SEEN_SINCE = _Now(bindparam("since_s", type_=Float), bindparam("since_text", type_=String))


@dataclass(frozen=True, slots=True)
class Clock:
    """`offset` moves the clock, for tests."""

    offset: timedelta = _NOTHING

    @property
    def stamps(self) -> dict[str, float | str]:
        """What NOW takes."""
        seconds = self.offset.total_seconds()
        return {"stamp_s": seconds, "stamp_text": f"{seconds:+.3f} seconds"}

    def stamps_until(self, ahead: timedelta) -> dict[str, float | str]:
        """What NOW takes, and LATER for the time so far ahead."""
        seconds = (self.offset + ahead).total_seconds()
        return {**self.stamps, "later_s": seconds, "later_text": f"{seconds:+.3f} seconds"}

    def stamps_since(self, age: timedelta) -> dict[str, float | str]:
        """What SEEN_SINCE takes."""
        seconds = (self.offset - age).total_seconds()
        return {"since_s": seconds, "since_text": f"{seconds:+.3f} seconds"}

    def now(self, ahead: timedelta = _NOTHING) -> _Now:
        """The time now plus `ahead`, as an SQL expression."""
        seconds = (self.offset + ahead).total_seconds()
        return _Now(
            bindparam("ahead_s", seconds, type_=Float, unique=True),
            bindparam("ahead_text", f"{seconds:+.3f} seconds", type_=String, unique=True),
        )


@compiles(_Now, "sqlite")
def _now_on_sqlite(element: _Now, compiler: SQLCompiler, **kw: Any) -> str:
    # %f has three decimals; columns hold six.
    ahead = compiler.process(tuple(element.clauses)[1], **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {ahead})"


@compiles(_Now, "postgresql")
def _now_on_postgresql(element: _Now, compiler: SQLCompiler, **kw: Any) -> str:
    ahead = compiler.process(next(iter(element.clauses)), **kw)
    return f"(clock_timestamp() + make_interval(secs => {ahead}))"
