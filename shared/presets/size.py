"""Widths and heights as values write them."""

import math

__all__ = ["size_in"]


def size_in(value: object) -> tuple[float, float] | None:
    """Width and height in a size value, or in a text such as "1080x1350" or "16:9"."""
    parts = value.replace(":", "x").split("x") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        return None
    try:
        width, height = float(parts[0]), float(parts[1])
    except (TypeError, ValueError):
        return None
    return (width, height) if 0 < width < math.inf and 0 < height < math.inf else None
