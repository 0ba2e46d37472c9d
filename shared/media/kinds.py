"""Which types of media there are, and how each shows: by its magic bytes, and by its suffix."""

__all__ = [
    "IMAGE_FORMATS",
    "RAW_SUFFIXES",
    "RAW_TYPE",
    "READABLE_SUFFIXES",
    "extension_for",
    "media_type_for",
    "sniff",
]

IMAGE_FORMATS = {  # by media type, what Pillow calls its decoder
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
    "image/avif": "AVIF",
    "image/heic": "HEIF",
}
RAW_TYPE = "image/x-raw"
RAW_SUFFIXES = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"})
_SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png", ".apng"),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/tiff": (".tif", ".tiff"),
    "image/bmp": (".bmp",),
    "image/avif": (".avif",),
    "image/heic": (".heic", ".heif"),
    RAW_TYPE: (".dng", *sorted(RAW_SUFFIXES - {".dng"})),
    "video/mp4": (".mp4", ".m4v", ".mov"),
    "video/webm": (".webm", ".mkv"),
    "audio/flac": (".flac",),
    "audio/mpeg": (".mp3",),
    "audio/ogg": (".ogg", ".opus"),
    "audio/wav": (".wav",),
    "audio/mp4": (".m4a",),
    "model/gltf-binary": (".glb",),
    "text/html": (".html", ".htm"),
    "text/plain": (".txt",),
    "application/json": (".json",),
}
READABLE_SUFFIXES = frozenset(
    suffix for media_type in IMAGE_FORMATS for suffix in _SUFFIXES[media_type]
) | RAW_SUFFIXES  # fmt: skip

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"CR\x02\x00", RAW_TYPE),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"II+\x00", "image/tiff"),
    (0, b"MM\x00+", "image/tiff"),
    (0, b"FUJIFILMCCD-RAW", RAW_TYPE),
    (0, b"IIRO", RAW_TYPE),
    (0, b"IIRS", RAW_TYPE),
    (0, b"IIU\x00", RAW_TYPE),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"glTF", "model/gltf-binary"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"crx ": RAW_TYPE,
    b"M4A ": "audio/mp4",
}


def sniff(head: bytes) -> str | None:
    """The media type by magic bytes, from the first 64 bytes or more; None when none is known.

    Camera RAW files of TIFF structure say image/tiff.
    """
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset):
            return media_type
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "text/html" if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else None


def _sniff_brands(head: bytes) -> str:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "video/mp4")


def extension_for(media_type: str) -> str:
    """The usual suffix with its dot; ".bin" for a type that is not known."""
    return _SUFFIXES.get(media_type, (".bin",))[0]


def media_type_for(suffix: str) -> str | None:
    """What a file with this suffix claims to be; None when the suffix says nothing."""
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix.lower() in suffixes), None)
