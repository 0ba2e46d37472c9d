"""Values: defaults, types, limits, and the texts of a command line."""

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import JsonValue
from shared.presets.errors import InvalidValue
from shared.presets.parameter import Choice, ChoicesFrom, Condition, Parameter, ParameterType
from shared.presets.values import check_value, is_visible, parse_text, resolve_values
from tests.shared.presets.samples import manifest_of

T = ParameterType


def parameter(type_: ParameterType, **fields: Any) -> Parameter:
    return Parameter(id="it", type=type_, label="It", **fields)


@pytest.mark.parametrize(
    ("declared", "given_value", "result"),
    [
        (parameter(T.INT, min=0, max=9), 4, 4),
        (parameter(T.INT), 4.0, 4),
        (parameter(T.INT, min=0, max=100, step=5), 12, 10),
        (parameter(T.FLOAT, step=0.1, min=0), 0.30000000000000004, 0.3),
        (parameter(T.SEED), 2**64 - 1, 2**64 - 1),
        (parameter(T.BOOL), False, False),
        (parameter(T.PROMPT, max_length=3), "abc", "abc"),
        (parameter(T.ENUM, choices=(Choice("a", "A"),)), "a", "a"),
        (parameter(T.MODEL, choices_from=ChoicesFrom("L", "n")), "any.safetensors", "any.safetensors"),
        (parameter(T.COLOR), "#ffb000", "#FFB000"),
        (parameter(T.SIZE, min=1, max=4096), [1280, 720], [1280, 720]),
        (parameter(T.LORA_LIST), [{"name": "a"}], [{"name": "a", "strength": 1.0}]),
        (parameter(T.DURATION, max=10), 2, 2.0),
    ],
)
def test_good_values(declared: Parameter, given_value: JsonValue, result: JsonValue) -> None:
    checked = check_value(declared, given_value)
    assert checked == result
    assert type(checked) is type(result)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (parameter(T.INT), True),
        (parameter(T.INT), 1.5),
        (parameter(T.INT, min=0, max=100, step=1), 0.1),
        (parameter(T.INT, max=5), 6),
        (parameter(T.INT), "5"),
        (parameter(T.INT), 10**400),
        (parameter(T.FLOAT), math.nan),
        (parameter(T.FLOAT), math.inf),
        (parameter(T.FLOAT, min=0.5), 0.4),
        (parameter(T.SEED), -1),
        (parameter(T.SEED), 2**64),
        (parameter(T.BOOL), 1),
        (parameter(T.TEXT), None),
        (parameter(T.TEXT, max_length=2), "abc"),
        (parameter(T.ENUM, choices=(Choice("a", "A"),)), "b"),
        (parameter(T.MODEL, choices_from=ChoicesFrom("L", "n")), None),
        (parameter(T.COLOR), "red"),
        (parameter(T.COLOR), "#FFF"),
        (parameter(T.SIZE), [1280]),
        (parameter(T.SIZE, max=100), [101, 10]),
        (parameter(T.LORA_LIST), [{"strength": 1.0}]),
        (parameter(T.LORA_LIST), [{"name": "a", "weight": 1}]),
        (parameter(T.DURATION, min=1), 0),
    ],
)
def test_bad_values_name_the_field(declared: Parameter, value: JsonValue) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_value(declared, value)
    assert caught.value.details == {"field": "values.it"}
    assert "It (it)" in caught.value.message


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        (parameter(T.INT), "7", 7),
        (parameter(T.FLOAT), "0.25", 0.25),
        (parameter(T.SEED), "18446744073709551615", 2**64 - 1),
        (parameter(T.BOOL), "on", True),
        (parameter(T.BOOL), "No", False),
        (parameter(T.TEXT), "7", "7"),
        (parameter(T.COLOR), "ffb000", "#FFB000"),
        (parameter(T.SIZE), "1280x720", [1280, 720]),
        (parameter(T.LORA_LIST), '[{"name": "a", "strength": 0.5}]', [{"name": "a", "strength": 0.5}]),
    ],
)
def test_texts_become_values(declared: Parameter, text: str, value: JsonValue) -> None:
    assert parse_text(declared, text) == value


@pytest.mark.parametrize(
    ("type_", "text"), [(T.INT, "many"), (T.BOOL, "maybe"), (T.LORA_LIST, "{"), (T.SIZE, "8")]
)
def test_texts_that_are_no_values(type_: ParameterType, text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_text(parameter(type_), text)


def test_resolving_fills_defaults_in_order_and_refuses_strangers() -> None:
    manifest = manifest_of()
    assert resolve_values(manifest, {}) == {"softness": 0.01}
    assert resolve_values(manifest, {"softness": 0.1}) == {"softness": 0.1}
    with pytest.raises(InvalidValue, match="it has softness") as caught:
        resolve_values(manifest, {"sharpness": 1})
    assert caught.value.details["field"] == "values.sharpness"


def test_visibility_follows_another_value() -> None:
    dependent = parameter(T.INT, visible_when=Condition("mode", ("bars", "crop")))
    assert is_visible(dependent, {"mode": "crop"})
    assert not is_visible(dependent, {"mode": "full"})
    assert is_visible(parameter(T.INT), {})


@given(st.sampled_from(list(ParameterType)), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
))  # fmt: skip
def test_any_value_is_taken_or_refused(type_: ParameterType, value: JsonValue) -> None:
    declared = parameter(type_, min=0, max=100, choices=(Choice("a", "A"),))
    with contextlib.suppress(InvalidValue):  # any other error fails
        checked = check_value(declared, value)
        assert check_value(declared, checked) == checked


@given(st.floats(0, 1), st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.35, 0.4]))
def test_steps_stay_within_the_limits(value: float, step: float) -> None:
    declared = parameter(T.FLOAT, min=0, max=1, step=step)
    checked = check_value(declared, value)
    assert isinstance(checked, float)
    assert 0 <= checked <= 1
    assert abs(checked / step - round(checked / step)) < 1e-6
