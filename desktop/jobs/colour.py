"""Pictures in sRGB, for presets whose models know no other colours."""

import io
from pathlib import Path

from PIL import ImageCms

from shared.engines.base import InputFile
from shared.files import digest_file
from shared.media import open_image

__all__ = ["SRGB_PROFILE", "in_srgb", "is_srgb"]

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_CONVERTIBLE = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "L": "L"}


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

    Blocking. Orientation and transparency stay. Raises what `shared.media.open_image` raises.
    """
    with open_image(file.path) as image:
        icc: bytes = image.info.get("icc_profile") or b""
        if is_srgb(icc) or image.mode not in _CONVERTIBLE:
            return file
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        plain = image.convert(_CONVERTIBLE[image.mode])
        try:
            converted = ImageCms.profileToProfile(
                plain, _profile(icc), _profile(SRGB_PROFILE), outputMode="RGB"
            )
        except ImageCms.PyCMSError:
            return file  # the profile is of other channels than the picture
        if converted is None:
            return file
        if alpha is not None:
            converted.putalpha(alpha)
        path = folder / f"{file.digest}.png"
        converted.save(path, "PNG", compress_level=1, exif=image.info.get("exif", b""))
    return InputFile(path=path, digest=digest_file(path), name=file.name)


def _profile(icc: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))
