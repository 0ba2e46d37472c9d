"""Files that are no pictures."""

from pathlib import Path

from shared.media.errors import BrokenMedia
from shared.media.kinds import media_type_for, sniff
from shared.media.limits import DEFAULT_OUTPUT_LIMITS, MediaLimits, checked_head

__all__ = ["verify_file"]


def verify_file(path: Path, expected_suffix: str, limits: MediaLimits = DEFAULT_OUTPUT_LIMITS) -> str:
    """Check a file that is no picture and return its media type.

    It must be within the size limit, not empty, not a web page, and have the magic bytes of its
    suffix where that suffix has any. Raises MediaTooLarge, BrokenMedia.
    """
    with path.open("rb") as file:
        found = sniff(checked_head(path, file, limits))
    expected = media_type_for(expected_suffix)
    if found == "text/html" and expected != "text/html":
        raise BrokenMedia(f"{path.name} is a web page, not a {expected_suffix} file", file=path.name)
    if expected is None or expected in {"text/plain", "application/json", "text/html"}:
        return expected or found or "application/octet-stream"
    same_container = {found, expected} <= {"video/mp4", "audio/mp4"}
    if found != expected and not same_container:
        raise BrokenMedia(f"{path.name} does not hold what its name says ({expected_suffix})", file=path.name)
    return expected
