"""Numbers, as requests write them."""

from typing import Annotated

from pydantic import BeforeValidator

__all__ = ["Whole"]


def _number(given: object) -> object:
    """Not as true or as a text, which pydantic would take too."""
    if isinstance(given, bool | str):
        raise ValueError("give a whole number")
    return given


Whole = Annotated[int, BeforeValidator(_number)]
