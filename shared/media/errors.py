"""Why a file is not taken."""

from shared.errors import UsageError

__all__ = ["BrokenMedia", "MediaTooLarge", "UnsupportedMedia"]


class UnsupportedMedia(UsageError):
    code = "unsupported_media"


class MediaTooLarge(UsageError):
    code = "media_too_large"


class BrokenMedia(UsageError):
    code = "broken_media"
