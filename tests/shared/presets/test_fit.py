"""Sizes that follow from the picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.presets.fit import Area, Fit, cropped_area, fitted_area
from shared.presets.size import size_in

SIDES = st.integers(1, 8000)


@pytest.mark.parametrize(
    ("fit", "size", "box", "area"),
    [
        (Fit(input="p"), (640, 427), None, Area(640, 427)),
        (Fit(input="p"), (4000, 6000), (512, 512), Area(341, 512, 85, 0)),
        (Fit(input="p"), (100, 50), (512, 512), Area(100, 50, 206, 231)),
        (Fit(input="p", enlarge=True), (100, 50), (512, 512), Area(512, 256, 0, 128)),
        (Fit(input="p", enlarge=True, multiple_of=8), (640, 427), (512, 512), Area(512, 344, 0, 84)),
        (Fit(input="p", min_side=64), (6000, 1), (512, 512), Area(512, 64, 0, 224)),
    ],
)
def test_fitted(fit: Fit, size: tuple[int, int], box: tuple[float, float] | None, area: Area) -> None:
    assert fitted_area(fit, size, box, 0.0) == area


def test_inset_leaves_a_margin_on_all_sides() -> None:
    assert fitted_area(Fit(input="p", enlarge=True), (300, 200), (1080, 1080), 0.1) == Area(
        864, 576, 108, 252
    )


@given(SIDES, SIDES, st.integers(64, 2048), st.sampled_from([1, 8, 64]))
def test_fitted_sides_are_multiples_within_the_box(width: int, height: int, side: int, multiple: int) -> None:
    area = fitted_area(Fit(input="p", enlarge=True, multiple_of=multiple), (width, height), (side, side), 0.0)
    assert area.width % multiple == area.height % multiple == 0
    assert 1 <= area.width <= side + multiple
    assert 1 <= area.height <= side + multiple
    assert area.x >= 0
    assert area.y >= 0


@pytest.mark.parametrize(
    ("size", "aspect", "anchor", "area"),
    [
        ((1920, 1080), 16 / 9, (0.5, 0.5), Area(1920, 1080)),
        ((1000, 1000), 2.0, (0.5, 0.0), Area(1000, 500, 0, 0)),
        ((1000, 1000), 2.0, (0.5, 1.0), Area(1000, 500, 0, 500)),
        ((1000, 500), 1.0, (1.0, 0.5), Area(500, 500, 500, 0)),
        ((1, 6000), 2.39, (0.5, 0.5), Area(1, 1, 0, 3000)),
    ],
)
def test_cropped(size: tuple[int, int], aspect: float, anchor: tuple[float, float], area: Area) -> None:
    assert cropped_area(size, aspect, anchor) == area


@given(SIDES, SIDES, st.floats(0.1, 10), st.floats(0, 1), st.floats(0, 1))
def test_crops_lie_within_the_picture(width: int, height: int, aspect: float, x: float, y: float) -> None:
    area = cropped_area((width, height), aspect, (x, y))
    assert area.width >= 1
    assert area.height >= 1
    assert 0 <= area.x <= width - area.width
    assert 0 <= area.y <= height - area.height


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("1280x720", (1280, 720)),
        ("2.39:1", (2.39, 1)),
        ([16, 9], (16, 9)),
        ("1280", None),
        ("0x5", None),
        ("axb", None),
        ("infx1", None),
        (7, None),
    ],
)
def test_sizes_as_values_write_them(value: object, size: tuple[float, float] | None) -> None:
    assert size_in(value) == size
