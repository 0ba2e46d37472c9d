"""How large a file, and the picture in it, may be: told before anything is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shared.media.errors import BrokenMedia, MediaTooLarge

__all__ = ["DEFAULT_INPUT_LIMITS", "DEFAULT_OUTPUT_LIMITS", "MediaLimits", "checked_head", "require_pixels"]

_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """`max_pixels` counts all frames together."""

    max_bytes: int
    max_pixels: int
    max_frames: int


DEFAULT_INPUT_LIMITS = MediaLimits(max_bytes=512 << 20, max_pixels=64 << 20, max_frames=512)
DEFAULT_OUTPUT_LIMITS = MediaLimits(max_bytes=2 << 30, max_pixels=512 << 20, max_frames=4096)


def checked_head(path: Path, file: BinaryIO, limits: MediaLimits) -> bytes:
    """The first bytes of a file that is within `max_bytes` and not empty; it stands at its start after that.

    Raises BrokenMedia, MediaTooLarge.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size == 0:
        raise BrokenMedia(f"{path.name} is empty: copy it again from where it came", file=path.name)
    if size > limits.max_bytes:
        raise MediaTooLarge(
            f"{path.name} has {size / 1e6:.0f} MB; at most {limits.max_bytes / 1e6:.0f} MB are taken: "
            "use a smaller copy",
            file=path.name,
            bytes=size,
            max_bytes=limits.max_bytes,
        )
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return head


def require_pixels(path: Path, pixels: int, limits: MediaLimits) -> None:
    """Raises MediaTooLarge."""
    if pixels > limits.max_pixels:
        raise MediaTooLarge(
            f"{path.name} has {pixels / 1e6:.0f} megapixels; "
            f"at most {limits.max_pixels / 1e6:.0f} are taken: use a smaller copy",
            file=path.name,
            pixels=pixels,
            max_pixels=limits.max_pixels,
        )
