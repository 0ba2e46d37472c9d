"""Colours that a model understands."""

from pathlib import Path

import pytest
from PIL import Image, ImageCms

from desktop.jobs.colour import SRGB_PROFILE, in_srgb, is_srgb
from shared.engines.base import InputFile
from shared.files import digest_file
from tests.support.raw_file import write_dng

LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _wide_gamut() -> bytes:
    """The sRGB profile with red and green primaries exchanged, under another name."""
    profile = bytearray(SRGB_PROFILE)
    red, green = profile.index(b"rXYZ", 128), profile.index(b"gXYZ", 128)
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))


def _file(path: Path) -> InputFile:
    return InputFile(path=path, digest=digest_file(path), name=path.name)


@pytest.mark.parametrize("icc", [None, b"", SRGB_PROFILE, b"no profile at all"])
def test_what_is_srgb_or_unknown_is_left_alone(tmp_path: Path, icc: bytes | None) -> None:
    assert is_srgb(icc)
    Image.new("RGB", (8, 8), (200, 30, 10)).save(tmp_path / "a.png", icc_profile=icc)
    assert in_srgb(_file(tmp_path / "a.png"), tmp_path) == _file(tmp_path / "a.png")


def test_other_colours_are_converted_and_keep_orientation_and_transparency(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGBA", (8, 4), (200, 30, 10, 77))
    picture.save(tmp_path / "a.png", icc_profile=_wide_gamut(), exif=exif.tobytes())
    made = in_srgb(_file(tmp_path / "a.png"), tmp_path)
    assert made.name == "a.png"
    assert made.digest == digest_file(made.path)
    with Image.open(made.path) as converted:
        red, green, _, alpha = converted.getpixel((0, 0))  # type: ignore[misc]
        assert green > red
        assert (alpha, converted.getexif()[0x0112], converted.size) == (77, 6, (8, 4))


def test_a_profile_of_other_channels_changes_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 30, 10)).save(tmp_path / "a.png", icc_profile=LAB)
    assert in_srgb(_file(tmp_path / "a.png"), tmp_path).path == tmp_path / "a.png"


def test_what_only_we_can_read_becomes_a_png(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.new("RGB", (16, 8), (200, 30, 10)).save(tmp_path / "a.heic", quality=90)
    for path in (tmp_path / "a.heic", write_dng(tmp_path / "a.dng", 64, 48, (200, 30, 10))):
        made = in_srgb(_file(path), tmp_path)
        assert made.name == path.name
        with Image.open(made.path) as image:
            red, green, blue = image.convert("RGB").getpixel((4, 4))  # type: ignore[misc]
            assert (image.format, red > green, red > blue) == ("PNG", True, True)
