"""Parts of JSON that a server or a file of somebody else's sent: what has another type counts as absent."""

from collections.abc import Mapping, Sequence

from shared.errors import JsonValue

__all__ = ["list_in", "object_in", "text_in"]


def object_in(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, Mapping) else {}


def list_in(value: JsonValue) -> Sequence[JsonValue]:
    return value if isinstance(value, list) else ()


def text_in(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
