"""Periods of grants and limits: calendar months in UTC, written 2026-11."""

from datetime import UTC, datetime

__all__ = ["period_end", "period_of"]


def period_of(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m}"


def period_end(period: str) -> datetime:
    """When the next one begins."""
    year, month = (int(part) for part in period.split("-"))
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
