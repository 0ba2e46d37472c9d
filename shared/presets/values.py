"""The values of one run: defaults filled in, every limit kept."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import assert_never

from shared.errors import JsonValue
from shared.presets.errors import InvalidValue
from shared.presets.manifest import Manifest
from shared.presets.parameter import Parameter, ParameterType

__all__ = ["check_value", "is_visible", "parse_text", "resolve_values"]

_MAX_SEED = 2**64 - 1
_DIGITS = 9
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def resolve_values(manifest: Manifest, given: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """One value for every parameter, in the manifest's order. InvalidValue names the field."""
    known = {parameter.id for parameter in manifest.parameters}
    for name in given:
        if name not in known:
            raise InvalidValue(
                f"{manifest.name} has no setting {name!r}; it has {', '.join(sorted(known)) or 'none'}",
                field=f"values.{name}",
            )
    return {
        parameter.id: check_value(parameter, given.get(parameter.id, parameter.default))
        for parameter in manifest.parameters
    }


def is_visible(parameter: Parameter, values: Mapping[str, JsonValue]) -> bool:
    """Whether the form shows the parameter beside these values."""
    condition = parameter.visible_when
    return condition is None or values.get(condition.parameter) in condition.is_in


def check_value(parameter: Parameter, value: JsonValue) -> JsonValue:
    """The value in its parameter's type and within its limits; InvalidValue says what is allowed."""
    return _CHECKS[parameter.type](parameter, value)


def parse_text(parameter: Parameter, text: str) -> JsonValue:
    """A value as typed on a command line, checked."""
    match parameter.type:
        case ParameterType.TEXT | ParameterType.PROMPT | ParameterType.ENUM | ParameterType.MODEL:
            return check_value(parameter, text)
        case ParameterType.COLOR:
            return check_value(parameter, text if text.startswith("#") else f"#{text}")
        case ParameterType.SIZE:
            return check_value(parameter, [_number(side) for side in text.lower().split("x")])
        case ParameterType.BOOL:
            truth = {"true": True, "yes": True, "on": True, "1": True}
            lies = {"false": False, "no": False, "off": False, "0": False}
            return check_value(parameter, (truth | lies).get(text.lower(), text))
        case ParameterType.LORA_LIST:
            return check_value(parameter, _json(parameter, text))
        case ParameterType.INT | ParameterType.SEED | ParameterType.FLOAT | ParameterType.DURATION:
            return check_value(parameter, _number(text))
    assert_never(parameter.type)


def _whole(parameter: Parameter, value: JsonValue) -> int:
    number = _real(parameter, value)
    if number != int(number) or (isinstance(value, float) and not value.is_integer()):
        raise _wrong(parameter, "must be a whole number")
    return int(number)


def _seed(parameter: Parameter, value: JsonValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_SEED:
        raise _wrong(parameter, f"must be a whole number from 0 to {_MAX_SEED}")
    return value


def _real(parameter: Parameter, value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(parameter, "must be a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise _wrong(parameter, "is far too large") from error
    if not math.isfinite(number):
        raise _wrong(parameter, "must be a finite number")
    low = -math.inf if parameter.min is None else parameter.min
    high = math.inf if parameter.max is None else parameter.max
    if not low <= number <= high:
        raise _wrong(parameter, f"must lie {_range_text(parameter)}, not {value}")
    return number if parameter.step is None else _on_grid(number, parameter, parameter.step)


def _on_grid(number: float, parameter: Parameter, step: float) -> float:
    """The nearest allowed value, free of the binary dust that multiplying by 0.05 leaves."""
    origin = parameter.min or 0.0
    steps = round((number - origin) / step)
    if parameter.max is not None and round(origin + steps * step, _DIGITS) > parameter.max:
        steps -= 1
    return round(origin + steps * step, _DIGITS)


def _range_text(parameter: Parameter) -> str:
    if parameter.max is None:
        return f"at {parameter.min:g} or above"
    if parameter.min is None:
        return f"at {parameter.max:g} or below"
    return f"between {parameter.min:g} and {parameter.max:g}"


def _truth(parameter: Parameter, value: JsonValue) -> bool:
    if not isinstance(value, bool):
        raise _wrong(parameter, "must be true or false")
    return value


def _color(parameter: Parameter, value: JsonValue) -> str:
    if not isinstance(value, str) or not _COLOR.fullmatch(value):
        raise _wrong(parameter, "must be a colour such as #FFB000")
    return value.upper()


def _text(parameter: Parameter, value: JsonValue) -> str:
    if not isinstance(value, str):
        raise _wrong(parameter, "must be a text")
    if parameter.max_length is not None and len(value) > parameter.max_length:
        raise _wrong(
            parameter, f"is {len(value)} characters long, at most {parameter.max_length} are allowed"
        )
    return value


def _choice(parameter: Parameter, value: JsonValue) -> str:
    if not isinstance(value, str):
        raise _wrong(parameter, "must be one of the choices")
    allowed = [choice.value for choice in parameter.choices]
    if parameter.choices_from is None and value not in allowed:
        raise _wrong(parameter, f"must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _size(parameter: Parameter, value: JsonValue) -> list[int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _wrong(parameter, "must be a width and a height in pixels, such as 1280x720")
    return [_whole(parameter, side) for side in value]


def _loras(parameter: Parameter, value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list | tuple):
        raise _wrong(parameter, "must be a list of LoRAs")
    return [_lora(parameter, entry) for entry in value]


def _lora(parameter: Parameter, entry: JsonValue) -> dict[str, JsonValue]:
    if not isinstance(entry, Mapping) or not entry.keys() <= {"name", "strength"}:
        raise _wrong(parameter, "must list each LoRA as its name and strength")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise _wrong(parameter, "holds a LoRA without a name")
    return {"name": name, "strength": _real(parameter, entry.get("strength", 1.0))}


def _number(text: str) -> JsonValue:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _json(parameter: Parameter, text: str) -> JsonValue:
    try:
        data: JsonValue = json.loads(text)
    except ValueError as error:
        raise _wrong(parameter, "is not valid JSON") from error
    return data


def _wrong(parameter: Parameter, what: str) -> InvalidValue:
    return InvalidValue(f"{parameter.label} ({parameter.id}) {what}", field=parameter.field)


_CHECKS: Mapping[ParameterType, Callable[[Parameter, JsonValue], JsonValue]] = {
    ParameterType.INT: _whole,
    ParameterType.SEED: _seed,
    ParameterType.FLOAT: _real,
    ParameterType.DURATION: _real,
    ParameterType.BOOL: _truth,
    ParameterType.TEXT: _text,
    ParameterType.PROMPT: _text,
    ParameterType.ENUM: _choice,
    ParameterType.MODEL: _choice,
    ParameterType.COLOR: _color,
    ParameterType.SIZE: _size,
    ParameterType.LORA_LIST: _loras,
}
