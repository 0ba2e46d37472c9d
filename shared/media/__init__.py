"""Files looked at with suspicion: type by magic bytes, limits first, then a full decode."""

from shared.media.errors import BrokenMedia, MediaTooLarge, UnsupportedMedia
from shared.media.files import verify_file
from shared.media.kinds import READABLE_SUFFIXES, extension_for, media_type_for, sniff
from shared.media.limits import DEFAULT_INPUT_LIMITS, DEFAULT_OUTPUT_LIMITS, MediaLimits
from shared.media.pictures import ImageInfo, check_image, open_image, probe_image, verify_image

__all__ = [
    "DEFAULT_INPUT_LIMITS",
    "DEFAULT_OUTPUT_LIMITS",
    "READABLE_SUFFIXES",
    "BrokenMedia",
    "ImageInfo",
    "MediaLimits",
    "MediaTooLarge",
    "UnsupportedMedia",
    "check_image",
    "extension_for",
    "media_type_for",
    "open_image",
    "probe_image",
    "sniff",
    "verify_file",
    "verify_image",
]
