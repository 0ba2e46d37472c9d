"""File names that every system takes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.naming import fold_name, free_name, numbered_name, safe_name


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("ComfyUI_00001_.png", "ComfyUI_00001_.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.png", "a.png"),
        ("a<b>:c?.png", "a_b__c_.png"),
        ("CON.png", "CON_.png"),
        ("lpt1", "lpt1_"),
        ("conference.png", "conference.png"),
        ("name. . ", "name"),
        ("..", "file"),
        ("", "file"),
        ("tab\there.png", "tab_here.png"),
        ("holiday\u202egnp.exe", "holiday_gnp.exe"),
        ("bytes \udcff.png", "bytes _.png"),
        ("žluťoučký 🐎.png", "žluťoučký 🐎.png"),
    ],
)
def test_names_from_elsewhere_are_made_safe(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


@given(st.text(max_size=400))
def test_safe_name_is_safe_for_any_text(name: str) -> None:
    made = safe_name(name)
    assert 0 < len(os.fsencode(made)) <= 255
    assert not set(made) & set('<>:"/\\|?*\0')
    assert made == made.rstrip(". ")


def test_number_goes_before_the_suffix_and_the_stem_gives_way() -> None:
    assert numbered_name("b.jpg", 2) == "b (2).jpg"
    long = "é" * 125 + ".jpeg"
    assert len(os.fsencode(numbered_name(long, 12))) <= 255
    assert numbered_name(long, 12).endswith(" (12).jpeg")


def test_free_name_looks_past_letter_case_and_unicode_form() -> None:
    taken = {fold_name("IMG.JPG"), fold_name("cafe\u0301.png"), fold_name("café (2).png")}
    assert free_name("img.jpg", taken) == "img (2).jpg"
    assert free_name("café.png", taken) == "café (3).png"
    assert free_name("other.png", taken) == "other.png"
