import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from desktop.runtime.picture_child import PictureChild
from desktop.runtime.screen_pictures import read_screen_picture
from tests.support.raw_file import write_dng

_TURNED = Image.Exif()
_TURNED[0x0112] = 6


@pytest.fixture(scope="module")
def child() -> Iterator[PictureChild]:
    child = PictureChild()
    yield child
    child.close()


@pytest.fixture
def photo() -> Image.Image:
    photo = Image.linear_gradient("L").resize((90, 60)).convert("RGB")
    photo.paste((200, 30, 10), (0, 0, 45, 60))
    return photo


@pytest.mark.parametrize(
    ("name", "module"), [("a.avif", "PIL"), ("a.heic", "pillow_heif"), ("a.tif", "PIL"), ("a.bmp", "PIL")]
)
def test_decodes_reduced_and_knows_the_full_size(
    tmp_path: Path, child: PictureChild, photo: Image.Image, name: str, module: str
) -> None:
    library = pytest.importorskip(module)
    if module == "pillow_heif":
        library.register_heif_opener()
    photo.save(tmp_path / name)

    picture = child.read(tmp_path / name, 30)

    assert picture is not None
    assert (picture.width, picture.height, picture.full_width, picture.full_height) == (30, 20, 90, 60)
    assert len(picture.data) == 30 * 20 * 3
    red, green, blue = picture.data[:3]
    assert (abs(red - 200) < 12, abs(green - 30) < 12, abs(blue - 10) < 12) == (True, True, True)


def test_turns_upright_and_keeps_transparency(tmp_path: Path, photo: Image.Image) -> None:
    photo.convert("RGBA").save(tmp_path / "a.webp", exif=_TURNED, lossless=True)

    picture = read_screen_picture(tmp_path / "a.webp", 1000)

    assert picture is not None
    assert (picture.width, picture.height, picture.full_width, picture.full_height) == (60, 90, 60, 90)
    photo.putalpha(100)
    photo.save(tmp_path / "b.png")
    picture = read_screen_picture(tmp_path / "b.png", 1000)
    assert picture is not None
    assert picture.alpha
    assert picture.data[3] == 100


def test_sixteen_bits_keep_their_lights(tmp_path: Path) -> None:
    Image.new("I;16", (4, 4), 40_000).save(tmp_path / "deep.tif")

    picture = read_screen_picture(tmp_path / "deep.tif", 100)

    assert picture is not None
    assert picture.data[:3] == bytes([156] * 3)


def test_a_raw_file_is_developed_at_half_size_where_that_is_enough(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = write_dng(tmp_path / "a.dng", 128, 96, (200, 90, 20))

    small, whole = read_screen_picture(path, 32), read_screen_picture(path, 1000)

    assert small is not None
    assert whole is not None
    assert (small.width, small.height, small.full_width, small.full_height) == (32, 24, 128, 96)
    assert (whole.width, whole.height) == (128, 96)
    assert small.data[0] > small.data[1] > small.data[2]


def test_what_cannot_be_decoded_is_nothing(tmp_path: Path, child: PictureChild) -> None:
    broken = tmp_path / "broken.avif"
    broken.write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0" + b"no picture")

    assert child.read(broken, 100) is None
    assert child.read(tmp_path / "gone.avif", 100) is None


def test_a_child_that_dies_is_replaced(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "a.avif")
    child = PictureChild()
    assert child.read(tmp_path / "a.avif", 50) is not None
    assert child.pid is not None
    os.kill(child.pid, 9)

    assert child.read(tmp_path / "a.avif", 50) is None
    assert child.read(tmp_path / "a.avif", 50) is not None

    child.close()
    assert child.read(tmp_path / "a.avif", 50) is None
