"""Patterns of texts that stand on one line, in requests."""

from shared.legible import ACTING

__all__ = ["LINE", "LINE_OR_NOTHING"]

LINE = f"^[^{ACTING}]+$"
LINE_OR_NOTHING = f"^[^{ACTING}]*$"
