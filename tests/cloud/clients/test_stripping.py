"""Copies that show the same picture and tell nothing else."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps, PngImagePlugin

from cloud.clients.stripping import CLEANED_TYPES, copy_without_texts, strip_picture
from shared.media import DEFAULT_INPUT_LIMITS, verify_image

CANARY = b"canary-prompt-canary"
TEXT = CANARY.decode()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + CANARY + b"</x:xmpmeta>"


def _photo() -> Image.Image:
    image = Image.linear_gradient("L").resize((48, 32))
    return Image.merge("RGB", [image, image.rotate(180), Image.new("L", image.size, 90)])


def _exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = f"workflow:{TEXT}"  # as ComfyUI writes it into WebP
    exif[0x0110] = f"prompt:{TEXT}"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[29] = TEXT
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + CANARY  # UserComment
    return exif


def _saved(format: str, **more: object) -> bytes:  # noqa: A002 - as Pillow calls it
    file = io.BytesIO()
    _photo().save(file, format, **more)  # type: ignore[arg-type]
    return file.getvalue()


def _png() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", TEXT)
    info.add_text("workflow", TEXT * 100, zip=True)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add(b"prVt", CANARY)  # of nobody's kind
    return _saved("PNG", pnginfo=info, exif=_exif())


def _jpeg() -> bytes:
    data = _saved("JPEG", exif=_exif(), xmp=XMP, comment=CANARY, progressive=True, icc_profile=b"icc" * 100)
    iptc = b"\xff\xed" + (len(CANARY) + 2).to_bytes(2, "big") + CANARY
    return data[:2] + iptc + data[2:]


def _multi_picture() -> bytes:
    file = io.BytesIO()
    other = _photo()
    other.encoderinfo = {"exif": _exif()}
    _photo().save(file, "MPO", save_all=True, append_images=[other], exif=_exif())
    return file.getvalue()


def _gif() -> bytes:
    file = io.BytesIO()
    frames = [_photo().convert("P"), _photo().rotate(90).convert("P")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], comment=CANARY, loop=3)
    return file.getvalue()


def _animated_webp() -> bytes:
    file = io.BytesIO()
    _photo().save(
        file, "WEBP", save_all=True, append_images=[_photo().rotate(90)], exif=_exif(), xmp=XMP, lossless=True
    )
    return file.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "png": _png,
    "jpeg": _jpeg,
    "jpeg of several": _multi_picture,
    "webp": lambda: _saved("WEBP", exif=_exif(), xmp=XMP, lossless=True),
    "plain webp": lambda: _saved("WEBP"),
    "animated webp": _animated_webp,
    "gif": _gif,
    "tiff": lambda: _saved("TIFF", exif=_exif().tobytes(), description=TEXT),
    "avif": lambda: _saved("AVIF", exif=_exif(), xmp=XMP),
    "bmp": lambda: _saved("BMP"),
}


def _frames(path: Path) -> list[bytes]:
    with Image.open(path) as image:
        count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        frames = []
        for number in range(count):
            image.seek(number)
            frames.append(ImageOps.exif_transpose(image).convert("RGBA").tobytes())
        return frames


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in FILES.items()])
def test_copy_shows_the_same_and_tells_nothing(tmp_path: Path, make: Callable[[], bytes]) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(make())
    with copy.open("wb") as file:
        strip_picture(source, file, DEFAULT_INPUT_LIMITS)

    assert verify_image(copy, DEFAULT_INPUT_LIMITS).media_type in CLEANED_TYPES
    assert _frames(copy) == _frames(source)
    assert CANARY not in copy.read_bytes()
    with Image.open(copy) as image:
        exif = image.getexif()
        assert set(exif) <= {0x0112}
        assert not exif.get_ifd(0x8825)
        assert "xmp" not in image.info
        assert not getattr(image, "text", {})
        assert "comment" not in image.info
    again = tmp_path / "again"
    with again.open("wb") as file:
        strip_picture(copy, file, DEFAULT_INPUT_LIMITS)
    assert again.read_bytes() == copy.read_bytes()


def test_profile_of_colours_stays(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(_jpeg())
    with copy.open("wb") as file:
        strip_picture(source, file, DEFAULT_INPUT_LIMITS)
    with Image.open(copy) as image:
        assert image.info["icc_profile"] == b"icc" * 100


def test_texts_of_a_server_go_and_pixels_stay(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(_png())
    with copy.open("wb") as file:
        copy_without_texts(source, file, "image/png")
    assert CANARY not in copy.read_bytes()
    with Image.open(copy) as image, Image.open(source) as before:
        assert image.tobytes() == before.tobytes()
