"""An engine's PNG becomes the user's file, and keeps what the photograph says about itself."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from desktop.jobs.encoding import CannotWriteFormat, write_picture
from desktop.jobs.origin import Origin, origin_in_xmp, read_origin, with_origin
from shared.presets.manifest import MetadataPolicy

ORIGIN = Origin(source="a" * 64, recipe="b" * 64, lineage=("c" * 64,))
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DESCRIPTION = "Příliš žluťoučký kůň"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="50,5.025N"/></rdf:RDF></x:xmpmeta>'
)


def _pixels(width: int, height: int) -> Image.Image:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    return Image.fromarray(ramp.astype(np.uint8), "RGB")


def _exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = DESCRIPTION.encode()
    exif[ExifTags.Base.Artist] = "A. Author"
    exif[ExifTags.Base.Orientation] = 6
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:01:02 03:04:05"
    details[ExifTags.Base.ExifImageWidth] = 60
    details[ExifTags.Base.ExifImageHeight] = 40
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif.tobytes()


def _photograph(path: Path) -> Path:
    """60 × 40 as stored, to be shown turned: 40 × 60."""
    options = {"exif": _exif(), "icc_profile": ICC, "dpi": (300, 300)}
    if path.suffix not in {".png", ".tif"}:
        options["xmp"] = XMP
    _pixels(60, 40).save(path, **options)
    return path


def _engine_png(width: int = 40, height: int = 60, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    _pixels(width, height).convert(mode).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _solid_png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), (0, shade, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def _write(source: Path, target: Path, media_type: str, **changes: object) -> Image.Image:
    options = {"quality": 92, "policy": MetadataPolicy.KEEP, "origin": ORIGIN} | changes
    frames = options.pop("frames", [_engine_png()])
    with target.open("wb") as sink:
        write_picture(frames, sink, source=source, media_type=media_type, **options)  # type: ignore[arg-type]
    return Image.open(target)


KINDS = [
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("tif", "image/tiff"),
    ("avif", "image/avif"),
]


@pytest.mark.parametrize(("suffix", "media_type"), KINDS)
def test_what_the_photograph_says_is_kept(tmp_path: Path, suffix: str, media_type: str) -> None:
    source = _photograph(tmp_path / "in.jpg")
    with _write(source, tmp_path / f"out.{suffix}", media_type) as made:
        assert made.size == (40, 60)
        exif = made.getexif()
        described = exif[ExifTags.Base.ImageDescription]
        assert described.encode("latin-1").decode() == DESCRIPTION
        assert exif[ExifTags.Base.Artist] == "A. Author"
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        details = exif.get_ifd(ExifTags.IFD.Exif)
        assert details[ExifTags.Base.DateTimeOriginal] == "2024:01:02 03:04:05"
        assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (40, 60)
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert made.info["icc_profile"] == ICC
        if suffix in {"jpg", "png", "tif"}:
            assert [round(value) for value in made.info["dpi"]] == [300, 300]
    assert read_origin(tmp_path / f"out.{suffix}") == ORIGIN


@pytest.mark.parametrize("has_empty_group", [False, True])
def test_a_compressed_tiff_with_few_tags_stays_compressed(tmp_path: Path, has_empty_group: bool) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "A. Author"
    exif[ExifTags.Base.Orientation] = 6
    if has_empty_group:
        exif.get_ifd(ExifTags.IFD.Exif)
    source = tmp_path / ("in.jpg" if has_empty_group else "in.tif")
    options = {} if has_empty_group else {"compression": "tiff_lzw"}
    _pixels(60, 40).save(source, exif=exif, **options)
    with _write(source, tmp_path / "out.tif", "image/tiff") as made:
        assert made.info["compression"] == ("tiff_adobe_deflate" if has_empty_group else "tiff_lzw")
        assert made.getexif()[ExifTags.Base.Artist] == "A. Author"
        assert made.getexif()[ExifTags.Base.Orientation] == 1


def test_a_tiff_with_groups_of_exif_is_compressed_too(tmp_path: Path) -> None:
    source = _photograph(tmp_path / "in.jpg")
    with _write(source, tmp_path / "out.tif", "image/tiff") as made:
        assert made.info["compression"] == "tiff_adobe_deflate"
        assert made.getexif().get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert np.array_equal(np.asarray(made), np.asarray(_pixels(40, 60)))


@pytest.mark.parametrize("suffix", [suffix for suffix, _ in KINDS])
def test_every_kind_of_source_is_read(tmp_path: Path, suffix: str) -> None:
    source = _photograph(tmp_path / f"in.{suffix}")
    with _write(source, tmp_path / "out.jpg", "image/jpeg") as made:
        exif = made.getexif()
        assert exif[ExifTags.Base.Artist] == "A. Author"
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2024:01:02 03:04:05"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert made.info["icc_profile"] == ICC


@pytest.mark.parametrize(("suffix", "media_type"), KINDS)
def test_the_place_is_left_out_when_asked(tmp_path: Path, suffix: str, media_type: str) -> None:
    source = _photograph(tmp_path / "in.jpg")
    with _write(source, tmp_path / f"out.{suffix}", media_type, policy=MetadataPolicy.DROP_LOCATION) as made:
        exif = made.getexif()
        assert ExifTags.IFD.GPSInfo not in exif
        assert exif[ExifTags.Base.Artist] == "A. Author"
        assert b"GPSLatitude" not in (tmp_path / f"out.{suffix}").read_bytes()


def test_xmp_is_kept_and_made_right(tmp_path: Path) -> None:
    with _write(_photograph(tmp_path / "in.jpg"), tmp_path / "out.jpg", "image/jpeg") as made:
        xmp = made.info["xmp"]
    assert b'xmp:Rating="4"' in xmp
    assert b'tiff:Orientation="1"' in xmp
    assert origin_in_xmp(xmp) == ORIGIN


def test_a_png_keeps_the_engines_pixels_to_the_byte(tmp_path: Path) -> None:
    engine = _engine_png()
    with _write(_photograph(tmp_path / "in.png"), tmp_path / "out.png", "image/png", frames=[engine]) as made:
        assert made.tobytes() == Image.open(io.BytesIO(engine)).tobytes()
    start = engine.index(b"IDAT")
    assert engine[start:] in (tmp_path / "out.png").read_bytes()


def test_a_profile_of_other_channels_is_left_out(tmp_path: Path) -> None:
    cmyk = ICC[:16] + b"CMYK" + ICC[20:]
    _pixels(60, 40).convert("CMYK").save(tmp_path / "in.jpg", icc_profile=cmyk)
    with _write(tmp_path / "in.jpg", tmp_path / "out.jpg", "image/jpeg") as made:
        assert made.mode == "RGB"
        assert "icc_profile" not in made.info


def test_transparency_is_laid_on_white_in_a_jpeg(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(buffer, "PNG")
    with _write(
        _photograph(tmp_path / "in.jpg"), tmp_path / "out.jpg", "image/jpeg", frames=[buffer.getvalue()]
    ) as made:
        assert made.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(("suffix", "media_type"), [("gif", "image/gif"), ("bmp", "image/bmp")])
def test_formats_without_metadata_are_written_too(tmp_path: Path, suffix: str, media_type: str) -> None:
    _pixels(60, 40).save(tmp_path / f"in.{suffix}")
    with _write(tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}", media_type) as made:
        assert made.size == (40, 60)


@pytest.mark.parametrize(
    ("suffix", "media_type"), [("gif", "image/gif"), ("webp", "image/webp"), ("png", "image/png")]
)
def test_an_animation_keeps_its_frames_and_their_times(tmp_path: Path, suffix: str, media_type: str) -> None:
    first, *rest = [Image.new("RGB", (20, 20), (shade, 0, 0)) for shade in (0, 120, 250)]
    first.save(tmp_path / f"in.{suffix}", save_all=True, append_images=rest, duration=[100, 250, 400], loop=0)
    frames = [_solid_png(shade) for shade in (255, 90, 10)]
    with _write(tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}", media_type, frames=frames) as made:
        durations = []
        for frame in range(made.n_frames):
            made.seek(frame)
            made.load()
            durations.append(made.info["duration"])
    assert durations == [100, 250, 400]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_metadata_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    _pixels(60, 40).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    with _write(path, tmp_path / "out.jpg", "image/jpeg") as made:
        assert made.size == (40, 60)


def test_an_unknown_format_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteFormat, match="choose jpg"):
        _write(_photograph(tmp_path / "in.jpg"), tmp_path / "out.xyz", "image/x-unknown")


def test_developing_again_replaces_the_record() -> None:
    later = Origin(source="d" * 64, recipe="e" * 64)
    packet = with_origin(with_origin(XMP, ORIGIN), later)
    assert origin_in_xmp(packet) == later
    assert packet.count(b"safelight:source") == 1
