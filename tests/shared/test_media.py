"""Pictures are believed only after their bytes were read."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.media import (
    BrokenMedia,
    ImageInfo,
    MediaLimits,
    MediaTooLarge,
    UnsupportedMedia,
    extension_for,
    open_image,
    probe_image,
    sniff,
    verify_file,
    verify_image,
)

# The product silences Pillow's warnings about files that it then refuses; pytest resets filters.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LIMITS = MediaLimits(max_bytes=4_000_000, max_pixels=400_000, max_frames=8)
FORMATS = {
    "a.jpg": ("JPEG", {"quality": 90}),
    "a.png": ("PNG", {}),
    "a.webp": ("WEBP", {"lossless": True}),
    "lossy.webp": ("WEBP", {"quality": 80}),
    "a.gif": ("GIF", {}),
    "a.tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "a.bmp": ("BMP", {}),
    "a.avif": ("AVIF", {"quality": 80}),
    "a.heic": ("HEIF", {"quality": 80}),
}


def noise(width: int = 120, height: int = 80) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def written(folder: Path, name: str) -> Path:
    format_, options = FORMATS[name]
    if format_ == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = folder / name
    noise().save(path, format_, **options)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_complete_picture_is_taken_and_described(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)

    info = verify_image(path, LIMITS)

    assert (info.width, info.height, info.frames, info.orientation) == (120, 80, 1, 1)
    assert info.bytes == path.stat().st_size
    assert info == probe_image(path, LIMITS)
    assert path.suffix in {extension_for(info.media_type), ".tiff"}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("name", FORMATS)
def test_cut_picture_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = written(tmp_path, name)
    data = path.read_bytes()
    path.write_bytes(data[: max(1, int(len(data) * share))])

    with pytest.raises((BrokenMedia, UnsupportedMedia)):
        verify_image(path, LIMITS)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp"])
def test_last_missing_byte_is_noticed(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(BrokenMedia):
        verify_image(path, LIMITS)


def test_end_marker_of_a_thumbnail_does_not_count(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    noise(8, 8).save(thumbnail, "JPEG")
    path = tmp_path / "a.jpg"
    noise().save(path, "JPEG", exif=b"Exif\0\0" + thumbnail.getvalue())
    verify_image(path, LIMITS)
    path.write_bytes(path.read_bytes()[:-2])

    with pytest.raises(BrokenMedia):
        verify_image(path, LIMITS)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", BrokenMedia, "is empty"),
        (b"<!DOCTYPE html><html>moved</html>", UnsupportedMedia, "is a web page"),
        (b"hello, I am text", UnsupportedMedia, "is not a picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, BrokenMedia, "is damaged"),
        (b"%PDF-1.7", UnsupportedMedia, "is not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedMedia, "is not a picture"),
    ],
)
def test_what_only_claims_to_be_a_picture_is_refused_in_plain_words(
    tmp_path: Path, content: bytes, error: type[Exception], words: str
) -> None:
    path = tmp_path / "claim.png"
    path.write_bytes(content)

    with pytest.raises(error, match=f"claim.png {words}"):
        verify_image(path, LIMITS)


@pytest.mark.parametrize("content", [b"II*\0\x10\0\0\0CR\x02\0" + b"\x5a" * 500, b"II*\0\x08\0\0\0"])
def test_what_only_claims_to_be_raw_is_broken(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "a.cr2"
    path.write_bytes(content)

    for look in (probe_image, verify_image):
        with pytest.raises(BrokenMedia, match=r"a\.cr2 is damaged, or a RAW file of a camera"):
            look(path, LIMITS)


def test_bomb_is_an_error_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(path)

    with pytest.raises(MediaTooLarge, match="900 megapixels"):
        probe_image(path, LIMITS)
    with pytest.raises(MediaTooLarge), open_image(path, LIMITS):
        pytest.fail("the block must not be entered")


@pytest.mark.parametrize("frames", [9, 5])
def test_frames_are_limited_in_number_and_in_pixels(tmp_path: Path, frames: int) -> None:
    side = 20 if frames == 9 else 300
    path = tmp_path / "many.gif"
    pictures = [Image.new("L", (side, side), 25 * shade) for shade in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])

    with pytest.raises(MediaTooLarge):
        probe_image(path, LIMITS)


def test_pages_of_a_tiff_are_counted_with_their_own_sizes(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    noise(10, 10).save(path, save_all=True, append_images=[noise(900, 900)])

    with pytest.raises(MediaTooLarge):
        verify_image(path, LIMITS)


def test_bytes_are_limited(tmp_path: Path) -> None:
    path = written(tmp_path, "a.bmp")

    with pytest.raises(MediaTooLarge, match=r"at most 0 MB") as caught:
        probe_image(path, MediaLimits(max_bytes=1000, max_pixels=10**9, max_frames=1))
    assert caught.value.details["max_bytes"] == 1000


def test_orientation_alpha_and_frames_are_told(tmp_path: Path) -> None:
    turned, moving = tmp_path / "turned.jpg", tmp_path / "moving.webp"
    exif = Image.Exif()
    exif[0x0112] = 6
    noise().save(turned, exif=exif)
    frames = [Image.new("RGBA", (8, 6), (shade, 0, 0, 128)) for shade in (0, 100, 200)]
    frames[0].save(moving, save_all=True, append_images=frames[1:], lossless=True)

    assert verify_image(turned, LIMITS).upright_size == (80, 120)
    assert verify_image(moving, LIMITS) == ImageInfo(
        media_type="image/webp",
        width=8,
        height=6,
        frames=3,
        bytes=moving.stat().st_size,
        has_alpha=True,
        orientation=1,
    )


def test_many_threads_may_verify_at_once(tmp_path: Path) -> None:
    paths = [written(tmp_path, name) for name in ("a.jpg", "a.png", "a.webp", "a.tif")]

    with ThreadPoolExecutor(8) as threads:
        infos = list(threads.map(verify_image, paths * 10))

    assert {(info.width, info.height) for info in infos} == {(120, 80)}


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video/mp4"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "image/x-raw"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"\x1aE\xdf\xa3", "video/webm"),
        (b"BMW is a car", None),
        (b"", None),
    ],
)
def test_type_comes_from_the_magic_bytes(head: bytes, media_type: str | None) -> None:
    assert sniff(head) == media_type


def test_other_files_must_hold_what_their_name_says(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + b"\0" * 50)
    assert verify_file(path, ".mp4", LIMITS) == "video/mp4"
    with pytest.raises(BrokenMedia, match="does not hold"):
        verify_file(path, ".flac", LIMITS)

    path.write_bytes(b"<html><body>502 Bad Gateway</body></html>")
    with pytest.raises(BrokenMedia, match="web page"):
        verify_file(path, ".latent", LIMITS)

    path.write_bytes(b"some words")
    assert verify_file(path, ".txt", LIMITS) == "text/plain"
    assert verify_file(path, ".latent", LIMITS) == "application/octet-stream"
