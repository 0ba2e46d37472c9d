"""Bodies in JSON, read as RFC 8259 and RFC 7493 have them.

Python's reader takes more: NaN, a name that stands twice, halves of characters. None of these could be
stored, or said again in an answer.
"""

import json
import math
from collections.abc import Callable, Coroutine
from json import JSONDecodeError
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

__all__ = ["JsonRoute", "read_json"]

_SURROGATE = "\\ud"


class JsonRoute(APIRoute):
    """The class of routes that take a body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return read_strictly


class _Request(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


def read_json(body: bytes) -> Any:
    """Raises JSONDecodeError alone, which says what is wrong without repeating what was sent."""
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_object
        )
        if _SURROGATE in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise _refusal("it holds characters that are none in UTF-8") from error
    except RecursionError as error:
        raise _refusal("it is nested too deeply") from error
    except JSONDecodeError as error:
        raise JSONDecodeError(error.msg, "", error.pos) from error
    except ValueError as error:  # what int says of thousands of digits
        raise _refusal("it holds a number that is too long") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _refusal(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _refusal("it holds a number that is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _refusal("a name stands twice in one object")
    return found


def _refusal(why: str) -> JSONDecodeError:
    return JSONDecodeError(why, "", 0)
