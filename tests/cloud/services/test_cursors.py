"""Cursors, and the form that the document tells of them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cloud.services.cursors import CURSOR, cut_page, read_cursor


@given(st.integers(min_value=0, max_value=10**16 - 1))
def test_every_cursor_has_the_form_and_leads_back(number: int) -> None:
    _, cursor = cut_page([number, 0], 1, lambda row: row)
    assert cursor is not None
    assert re.fullmatch(CURSOR, cursor)
    assert read_cursor(cursor) == number


@given(st.from_regex(CURSOR.removesuffix("$"), fullmatch=True))
def test_every_text_of_the_form_is_read(cursor: str) -> None:
    assert read_cursor(cursor) is not None
