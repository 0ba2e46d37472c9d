"""What a name may do to the line that it stands in: nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.legible import is_legible, legible, plain_name

TURNED = "holiday\u202egpj.exe"


@pytest.mark.parametrize(
    ("text", "shown", "name"),
    [
        (TURNED, "holiday\\u202egpj.exe", "holiday_gpj.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069", "a_b_"),
        ("one\ntwo\u2028three", "one\\ntwo\\u2028three", "one_two_three"),
        ("\x1b[31mred\x9b", "\\x1b[31mred\\x9b", "_[31mred_"),
        ("bytes \udcff", "bytes \\udcff", "bytes _"),
    ],
)
def test_what_would_act_is_written_out_or_left_out(text: str, shown: str, name: str) -> None:
    assert legible(text) == shown
    assert plain_name(text) == name
    assert not is_legible(text)


@pytest.mark.parametrize(
    "text", ["žluťoučký 🐎.png", "שלום\u200f.jpg", "می\u200cخواهم", "👩\u200d🚀", "a\u00adb", ""]
)
def test_writings_of_all_kinds_stay_as_they_are(text: str) -> None:
    assert legible(text) == plain_name(text) == text
    assert is_legible(text)


@given(st.text())
def test_any_text_is_one_line_that_can_be_encoded(text: str) -> None:
    assert len(legible(text).splitlines()) <= 1
    plain_name(text).encode()
