"""What an engine delivered, verified before it counts as done."""

from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from shared.engines.base import OutputRejected
from shared.errors import UsageError
from shared.files import digest_file
from shared.jobs.events import OutputKind
from shared.media import DEFAULT_OUTPUT_LIMITS, MediaLimits, media_type_for, verify_file, verify_image

__all__ = ["OutputFacts", "verify_output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFacts:
    """What the bytes say; `width` and `height` in pixels where it is a picture."""

    kind: OutputKind
    media_type: str
    bytes: int
    digest: str
    width: int | None = None
    height: int | None = None


def verify_output(
    path: Path, *, name: str, kind: OutputKind, limits: MediaLimits = DEFAULT_OUTPUT_LIMITS
) -> OutputFacts:
    """Read a delivered file to its end. Raises OutputRejected, which names the file.

    `name` is the file name that the engine gave, whose suffix the bytes must bear out; `path`
    may have any name. The kind is `kind`, unless the type shows better (a clip under "images").
    A text may say anything, nothing included.
    """
    if kind is OutputKind.TEXT:
        return _facts(path, kind, "text/plain")
    claimed = media_type_for(Path(name).suffix)
    is_picture = claimed.startswith("image/") if claimed else kind is OutputKind.IMAGE
    try:
        if is_picture:
            return _verified_picture(path, name, kind, claimed, limits)
        media_type = verify_file(path, Path(name).suffix, limits)
    except UsageError as error:
        reason = error.message.replace(path.name, name)
        raise OutputRejected(f"the engine delivered a bad file: {reason}", file=name) from error
    return _facts(path, _kind(kind, media_type), media_type)


def _facts(path: Path, kind: OutputKind, media_type: str) -> OutputFacts:
    return OutputFacts(kind=kind, media_type=media_type, bytes=path.stat().st_size, digest=digest_file(path))


def _verified_picture(
    path: Path, name: str, kind: OutputKind, claimed: str | None, limits: MediaLimits
) -> OutputFacts:
    info = verify_image(path, limits)
    if claimed not in {None, info.media_type}:
        raise OutputRejected(
            f"the engine delivered a bad file: {name} holds {info.media_type}, not what its name says",
            file=name,
        )
    return OutputFacts(
        kind=_kind(kind, info.media_type),
        media_type=info.media_type,
        bytes=info.bytes,
        digest=digest_file(path),
        width=info.width,
        height=info.height,
    )


def _kind(kind: OutputKind, media_type: str) -> OutputKind:
    match kind:
        case OutputKind.PREVIEW | OutputKind.TEXT:
            return kind
        case OutputKind.IMAGE | OutputKind.VIDEO | OutputKind.AUDIO | OutputKind.FILE:
            family = media_type.split("/", maxsplit=1)[0]
            return OutputKind(family) if family in {"image", "video", "audio"} else OutputKind.FILE
        case _:
            assert_never(kind)
