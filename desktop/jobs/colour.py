"""Pictures in sRGB, for presets whose models know no other colours."""

import io
from pathlib import Path

from PIL import Image, ImageCms

from shared.engines.base import InputFile
from shared.files import digest_file
from shared.media import open_image

__all__ = ["SRGB_PROFILE", "in_srgb", "is_srgb"]

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_CONVERTIBLE = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "L": "L"}
_READ_HERE_ALONE = {"HEIF", None}  # a RAW file arrives developed, of no format any more


def is_srgb(icc: bytes | None) -> bool:
    """Whether pixels with this profile may be taken for sRGB; what has none or a broken one may."""
    if not icc:
        return True
    try:
        return "srgb" in ImageCms.getProfileDescription(_profile(icc)).lower()
    except (ImageCms.PyCMSError, OSError):
        return True


def in_srgb(file: InputFile, folder: Path) -> InputFile:
    """The file itself if its colours are sRGB, else a PNG in `folder` with its pixels converted.

    HEIC and RAW become PNG as well: what reads them here is nothing that a server has.
    Blocking. Orientation and transparency stay. Raises what `shared.media.open_image` raises.
    """
    with open_image(file.path) as image:
        icc: bytes = image.info.get("icc_profile") or b""
        converted = _converted(image, icc)
        if converted is None and image.format not in _READ_HERE_ALONE:
            return file
        if converted is None:
            converted = image.convert("RGBA" if image.has_transparency_data else "RGB")
        path = folder / f"{file.digest}.png"
        converted.save(path, "PNG", compress_level=1, exif=image.info.get("exif", b""))
    return InputFile(path=path, digest=digest_file(path), name=file.name)


def _converted(image: Image.Image, icc: bytes) -> Image.Image | None:
    """None where there is nothing to convert, or the profile is of other channels than the picture."""
    if is_srgb(icc) or image.mode not in _CONVERTIBLE:
        return None
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    plain = image.convert(_CONVERTIBLE[image.mode])
    try:
        converted = ImageCms.profileToProfile(plain, _profile(icc), _profile(SRGB_PROFILE), outputMode="RGB")
    except ImageCms.PyCMSError:
        return None
    if converted is not None and alpha is not None:
        converted.putalpha(alpha)
    return converted


def _profile(icc: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))
