"""Stored bytes as answers: whole, in part, or only their headers. RFC 9110, sections 13 and 14."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

__all__ = ["BytesOut", "Unsatisfiable", "answer_bytes", "wanted_range"]

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Unsatisfiable(Exception):
    """The range lies behind the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesOut:
    """`read` gives the bytes from one place up to, but without, another. With `link`, whoever wants
    the bytes is to fetch them there."""

    digest: str
    size: int
    media_type: str
    name: str
    link: str | None
    read: Callable[[int, int], AsyncIterator[bytes]]


def answer_bytes(request: Request, out: BytesOut, *, cache: str) -> Response:
    """As a download under its name, whatever a browser makes of its kind."""
    tag = f'"{out.digest}"'
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(out.name, safe='')}",
        "Cache-Control": cache,
    }
    if _names(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        headers |= {"Content-Length": str(out.size), "Content-Type": out.media_type}
        return Response(headers=headers)
    if out.link is not None:
        return RedirectResponse(out.link, headers={"Cache-Control": "no-store"})
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", tag) != tag:
        asked = None
    try:
        part = wanted_range(asked, out.size)
    except Unsatisfiable:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{out.size}"})
    start, end = part or (0, out.size)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{out.size}"
    return StreamingResponse(
        out.read(start, end), 206 if part else 200, headers=headers, media_type=out.media_type
    )


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """From where up to, but without, where; None for all of it, as for whatever is not one plain range.

    Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= size or start >= end:
        raise Unsatisfiable
    return start, end


def _names(header: str, tag: str) -> bool:
    return header.strip() == "*" or tag in {part.strip().removeprefix("W/") for part in header.split(",")}
