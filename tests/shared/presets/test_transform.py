"""What happens to a value on its way into the graph."""

import pytest

from shared.errors import JsonValue
from shared.presets.errors import PresetError
from shared.presets.transform import Transform, transformed


@pytest.mark.parametrize(
    ("transform", "value", "sent"),
    [
        (Transform(), "text", "text"),
        (Transform(scale=0.01), 35, 0.35),
        (Transform(scale=-1, offset=1), 0.25, 0.75),
        (Transform(scale=5.12, round_to=1), 4.5, 23),
        (Transform(min=1, max=31, round_to=1), 0.2, 1),
        (Transform(min=1, max=31, round_to=1), 99.0, 31),
        (Transform(round_to=0.05), 0.33, 0.35),
        (Transform(round_to=8), 100, 104),
        (Transform(color_number=True), "#FFB000", 0xFFB000),
        (Transform(part="width"), "1280x720", 1280),
        (Transform(part="height", scale=0.25, round_to=1), [1280, 720], 180),
        (Transform(map={"soft": 0.2, "true": 7}), "soft", 0.2),
        (Transform(map={"true": 7}), True, 7),
        (Transform(map={"3": "three"}), 3, "three"),
        (Transform(map={"a": 2}, scale=3), "a", 6),
        (Transform(scale=2), True, True),
    ],
)
def test_transformed(transform: Transform, value: JsonValue, sent: JsonValue) -> None:
    result = transformed(value, transform, field="it")
    assert result == sent
    assert type(result) is type(sent)


@pytest.mark.parametrize(
    ("transform", "value"),
    [(Transform(part="width"), "wide"), (Transform(part="depth"), [1, 2]), (Transform(map={"a": 1}), "b")],
)
def test_steps_that_do_not_fit_name_the_field(transform: Transform, value: JsonValue) -> None:
    with pytest.raises(PresetError) as caught:
        transformed(value, transform, field="it")
    assert caught.value.details["field"] == "it"
