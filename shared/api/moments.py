"""Moments in time, as requests name them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

__all__ = ["Moment"]


def _written_out(given: object) -> object:
    """Not as seconds since 1970, which pydantic would take too."""
    if isinstance(given, datetime) or (isinstance(given, str) and "-" in given[1:]):
        return given
    raise ValueError("write the time like 2026-01-31T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this time lies beyond the years 1 to 9999") from error


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
"""Aware, in UTC, and within the years that databases have."""
