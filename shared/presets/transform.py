"""What happens to a value on its way into the graph."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import JsonValue
from shared.presets.errors import PresetError
from shared.presets.plain import PlainValue
from shared.presets.size import size_in

__all__ = ["Transform", "transformed"]

_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """Steps in this order, each only where it is set.

    `part` takes the width or height of a size; `color_number` turns "#RRGGBB" into 0xRRGGBB; `map`
    looks the value up by its JSON text (enums by their value); then value × scale + offset, held
    within `min` and `max`, rounded to a multiple of `round_to` (a whole step gives an integer).
    """

    part: str | None = None
    color_number: bool = False
    map: Mapping[str, PlainValue] | None = None
    scale: float | None = None
    offset: float = 0.0
    min: float | None = None
    max: float | None = None
    round_to: float | None = None


def transformed(value: JsonValue, transform: Transform, *, field: str) -> JsonValue:
    """The value as the graph gets it; PresetError names the field where the steps do not fit it."""
    if transform.part is not None:
        value = _side(value, transform.part, field)
    if transform.color_number:
        value = int(str(value).removeprefix("#"), 16)
    if transform.map is not None:
        value = _mapped(value, transform.map, field)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    return _arithmetic(value, transform)


def _side(value: JsonValue, part: str, field: str) -> JsonValue:
    size = size_in(value)
    if size is None or part not in {"width", "height"}:
        raise PresetError(f"{field}: {value!r} has no {part}", field=field)
    return int(size[0 if part == "width" else 1])


def _mapped(value: JsonValue, table: Mapping[str, JsonValue], field: str) -> JsonValue:
    key = value if isinstance(value, str) else json.dumps(value)
    if key not in table:
        raise PresetError(f"{field}: its map has no entry for {key!r}", field=field)
    return table[key]


def _arithmetic(value: float, transform: Transform) -> float:
    if transform.scale is not None:
        value *= transform.scale
    if transform.offset:
        value += transform.offset
    if transform.min is not None:
        value = max(value, transform.min)
    if transform.max is not None:
        value = min(value, transform.max)
    if transform.round_to is None:
        return round(value, _DIGITS)  # 35 × 0.01 is 0.35
    rounded = math.floor(value / transform.round_to + 0.5) * transform.round_to
    return int(rounded) if transform.round_to == int(transform.round_to) else round(rounded, _DIGITS)
