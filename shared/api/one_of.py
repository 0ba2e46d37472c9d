"""In a schema: which fields stand in each other's place."""

from collections.abc import Mapping

from pydantic import JsonValue

__all__ = ["one_of"]


def one_of(types: Mapping[str, str]) -> dict[str, JsonValue]:
    """For `json_schema_extra`: exactly one of the fields, of its type, is given."""
    return {
        "oneOf": [
            {
                "required": [name],
                "properties": {other: {"type": types[other] if other == name else "null"} for other in types},
            }
            for name in types
        ]
    }
