"""Looks at uploaded files in a process of its own with little memory and little time.

`python -m cloud.clients.inspection` answers one line of JSON for each that it is asked. A file
that breaks or stops the process breaks nothing else: the process is ended, and another is started
for the next file.
"""

import importlib
import importlib.util
import json
import mmap
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from cloud.clients.polyglot import check_only_a_picture
from cloud.clients.stripping import strip_picture
from shared.errors import JsonValue, UsageError
from shared.files import digest_file
from shared.media import MediaLimits, sniff, verify_image

__all__ = ["READY_LINE", "Findings", "Question", "Refusal", "inspect", "main"]

READY_LINE = "ready\n"
_MEMORY_BYTES = 3 << 30
_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """With `digest`, the file must have it. With `copy_to`, a file that is taken is also copied there,
    without its metadata."""

    path: str
    digest: str | None
    bytes: int
    max_bytes: int
    max_pixels: int
    max_frames: int
    cpu_s: int
    copy_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A whole picture; sizes in pixels, upright."""

    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the file is not taken."""

    code: str
    message: str


def inspect(question: Question) -> Findings | Refusal:
    """Size, digest, magic bytes, limits, every pixel of every frame, and nothing behind them."""
    path = Path(question.path)
    is_known = question.digest is None or question.digest == digest_file(path)
    if path.stat().st_size != question.bytes or not is_known:
        return Refusal("digest_mismatch", "the bytes that arrived are not those that were announced")
    with path.open("rb") as file:
        media_type = sniff(file.read(_HEAD_BYTES))
    if media_type is None or not media_type.startswith("image/"):
        return Refusal(
            "unsupported_media",
            "the file is no picture that is taken (JPEG, PNG, WebP, TIFF, AVIF, BMP or GIF)",
        )
    limits = MediaLimits(
        max_bytes=question.max_bytes, max_pixels=question.max_pixels, max_frames=question.max_frames
    )
    try:
        info = verify_image(path, limits)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_only_a_picture(data, info.media_type)
        if question.copy_to is not None:
            with Path(question.copy_to).open("wb") as copy:
                strip_picture(path, copy, limits)
    except UsageError as error:
        return Refusal(error.code, error.message.replace(path.name, "the file"))
    width, height = info.upright_size
    return Findings(media_type=info.media_type, width=width, height=height)


def main() -> None:
    _limit_memory()
    sys.stdout.write(READY_LINE)
    sys.stdout.flush()
    for line in sys.stdin:
        question = Question(**json.loads(line))
        _limit_time(question.cpu_s)
        sys.stdout.write(json.dumps(_answer(inspect(question))) + "\n")
        sys.stdout.flush()


def _answer(found: Findings | Refusal) -> dict[str, JsonValue]:
    return {"found" if isinstance(found, Findings) else "refused": asdict(found)}


def _limit_memory() -> None:
    """Windows has no such limits."""
    if importlib.util.find_spec("resource") is not None:
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(cpu_s: int) -> None:
    """From now on."""
    if importlib.util.find_spec("resource") is not None:
        resource = importlib.import_module("resource")
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
