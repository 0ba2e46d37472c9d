"""Plain JSON values inside a manifest: any shape, kept as written."""

from typing import Annotated

from shared.errors import JsonValue

__all__ = ["PlainValue"]


class _AnyShape:
    """Keeps pydantic from unfolding the recursive type; read by it without being imported here."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> dict[str, str]:
        return {"type": "any"}


PlainValue = Annotated[JsonValue, _AnyShape()]
