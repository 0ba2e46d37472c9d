"""Column types that mean the same on SQLite and on PostgreSQL."""

import json
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

from shared.errors import JsonValue

__all__ = ["JsonText", "Moment", "RowNumber"]

RowNumber = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what it calls INTEGER


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC. SQLite keeps it as text with six decimals, which sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class JsonText(TypeDecorator[JsonValue]):
    """JSON as ASCII text: any character that a client may send can be stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JsonValue | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> JsonValue:  # noqa: ARG002
        data: JsonValue = None if value is None else json.loads(value)
        return data
