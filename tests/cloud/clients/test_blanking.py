"""Films, sound and rarer pictures that a server saved: no texts, and the same streams.

The files in tests/data/texts were written by PyAV 16 as ComfyUI writes its outputs.
"""

import hashlib
import io
import json
import struct
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin

from cloud.clients.stripping import CannotStrip, copy_without_texts

CANARY = b"canary-prompt-canary"
TEXTS = Path(__file__).parents[2] / "data" / "texts"
TYPES = {
    "audio.flac": "audio/flac",
    "audio.m4a": "audio/mp4",
    "audio.mp3": "audio/mpeg",
    "audio.opus": "audio/ogg",
    "audio.wav": "audio/wav",
    "fast.mp4": "video/mp4",
    "plain.mp4": "video/mp4",
    "video.mp4": "video/mp4",
    "video.webm": "video/webm",
}


def _cleaned(source: Path, media_type: str) -> bytes:
    copy = source.with_suffix(".copy")
    with copy.open("wb") as file:
        copy_without_texts(source, file, media_type)
    return copy.read_bytes()


def _given(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", TYPES)
def test_texts_go_and_nothing_else_moves(tmp_path: Path, name: str) -> None:
    before = (TEXTS / name).read_bytes()
    after = _cleaned(_given(tmp_path, before), TYPES[name])
    assert CANARY in before
    assert CANARY not in after
    assert b"CLIPTextEncode" not in after
    assert len(after) == len(before)
    assert _cleaned(_given(tmp_path, after), TYPES[name]) == after


@pytest.mark.parametrize("name", TYPES)
def test_the_streams_are_those_that_were_there(tmp_path: Path, name: str) -> None:
    """A digest of all packets, taken by PyAV from the file with its texts and from the one without."""
    after = _cleaned(_given(tmp_path, (TEXTS / name).read_bytes()), TYPES[name])
    digests = dict(line.split() for line in (TEXTS / "cleaned.sha256").read_text().splitlines())
    assert hashlib.sha256(after).hexdigest() == digests[name]


def test_tags_of_every_kind_around_an_mp3(tmp_path: Path) -> None:
    frames = (TEXTS / "audio.mp3").read_bytes()[2000:]
    item = struct.pack("<II", len(CANARY), 0) + b"Comment\0" + CANARY
    foot = b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, 0) + bytes(8)
    id3 = b"ID3\x04\0\0" + bytes([0, 0, 0, len(CANARY)]) + CANARY
    id3v1 = b"TAG" + CANARY.ljust(125, b"\0")
    after = _cleaned(_given(tmp_path, id3 + id3 + frames + item + foot + id3v1), "audio/mpeg")
    assert CANARY not in after
    assert frames in after


def _tiff(order: str = "<", *, big: bool = False) -> bytes:
    file = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    tags[270], tags[305], tags[700] = CANARY.decode() * 50, CANARY.decode(), CANARY
    pages = [Image.linear_gradient("L").resize((40, 30)).convert("RGB").rotate(turn) for turn in (0, 90)]
    pages[0].save(
        file,
        "TIFF",
        tiffinfo=tags,
        save_all=True,
        append_images=pages[1:],
        compression="tiff_lzw",
        big_tiff=big,
    )
    return file.getvalue()


def _avif() -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[270] = CANARY.decode()
    image = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    image.save(file, "AVIF", exif=exif, xmp=b"<x>" + CANARY + b"</x>")
    return file.getvalue()


def _bmp() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((41, 30)).convert("RGB").save(file, "BMP")
    return file.getvalue() + CANARY


PICTURES = {"tiff": _tiff, "big tiff": lambda: _tiff(big=True), "avif": _avif, "bmp": _bmp}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_the_same_without_their_texts(tmp_path: Path, name: str) -> None:
    before = PICTURES[name]()
    after = _cleaned(_given(tmp_path, before), f"image/{name.removeprefix('big ')}")
    assert CANARY in before
    assert CANARY not in after
    assert _frames(after) == _frames(before)
    with Image.open(io.BytesIO(after)) as image:
        assert CANARY.decode() not in str(image.getexif())
        assert "xmp" not in image.info


def test_a_model_keeps_its_description_and_loses_the_texts_of_its_tool(tmp_path: Path) -> None:
    asset = {"version": "2.0", "generator": "ComfyUI", "extras": {"prompt": CANARY.decode()}}
    text = json.dumps({"asset": asset, "meshes": [{"name": "é"}], "extras": {}}, ensure_ascii=False).encode()
    text = text.ljust((len(text) + 3) // 4 * 4)
    binary = struct.pack("<I4s", 8, b"BIN\0") + b"vertices"
    body = struct.pack("<I4s", len(text), b"JSON") + text + binary
    before = struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body
    after = _cleaned(_given(tmp_path, before), "model/gltf-binary")
    assert (len(after), after[:12], after[-16:]) == (len(before), before[:12], before[-16:])
    told = json.loads(after[20 : 20 + len(text)])
    assert told == {"asset": {"version": "2.0", "generator": "ComfyUI"}, "meshes": [{"name": "é"}]}


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\0\0\0\x04moov" + b"x" * 40, "video/mp4"),
        (b"\x1aE\xdf\xa3\x80\x00", "video/webm"),
        (b"fLaC\x04\xff", "audio/flac"),
        (b"glTF" + bytes(30), "model/gltf-binary"),
        (b"II*\0\xff\xff\0\0" + b"x" * 8, "image/tiff"),
    ],
)
def test_what_cannot_be_followed_is_refused(tmp_path: Path, data: bytes, media_type: str) -> None:
    with pytest.raises(CannotStrip):
        _cleaned(_given(tmp_path, data), media_type)


def _frames(data: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(data)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(image.convert("RGBA").tobytes())
        return frames
