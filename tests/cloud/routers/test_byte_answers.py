"""Which part of the bytes a Range header asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.routers.byte_answers import Unsatisfiable, wanted_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=7-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_one_plain_range_is_given(header: str | None, wanted: tuple[int, int] | None) -> None:
    assert wanted_range(header, 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_behind_the_end_cannot_be_given(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_range(header, 10)


@given(
    header=st.text(max_size=40) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True), size=st.integers(0, 2**40)
)
def test_whatever_is_asked_lies_within_the_bytes(header: str, size: int) -> None:
    try:
        wanted = wanted_range(header, size)
    except Unsatisfiable:
        return
    if wanted is not None:
        assert 0 <= wanted[0] < wanted[1] <= size
