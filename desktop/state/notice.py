"""One sentence for the user about something that just happened."""

from dataclasses import dataclass

__all__ = ["Notice"]


@dataclass(frozen=True, slots=True)
class Notice:
    text: str
    trouble: bool = False
