"""Forms of several parts (RFC 7578), read as they come: a part is handed on before the next has arrived."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from cloud.errors import InvalidRequest

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """`chunks` are its bytes, to be taken before the next part is asked for."""

    name: str
    file_name: str | None
    chunks: AsyncIterator[bytes]


@dataclass(slots=True)
class _Head:
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""


class _PartEnd:
    pass


async def parts_of(content_type: str, body: AsyncIterator[bytes]) -> AsyncGenerator[Part, None]:
    """Raises InvalidRequest where the form is no form, or ends early."""
    form = _Form(_boundary(content_type), body)
    while (head := await form.next_head()) is not None:
        yield _part(head, form)
        async for _ in form.chunks():  # what nobody took
            pass


class _Form:
    def __init__(self, boundary: bytes, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._head = _Head()
        self._pieces: deque[_Head | bytes | _PartEnd] = deque()
        self._in_part = self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._head.name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._head.value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": lambda: self._pieces.append(self._head),
                "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
                "on_part_end": lambda: self._pieces.append(_PartEnd()),
                "on_end": self._end,
            },
        )

    async def next_head(self) -> _Head | None:
        """Of the next part; None after the last."""
        piece = await self._next()
        if isinstance(piece, _Head):
            self._in_part = True
            return piece
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What is left of the part that was begun."""
        while self._in_part:
            piece = await self._next()
            if isinstance(piece, bytes):
                yield piece
            else:
                self._in_part = False

    async def _next(self) -> _Head | bytes | _PartEnd | None:
        while not self._pieces:
            data = await anext(self._body, None)
            if data is None:
                if self._ended:
                    return None
                raise _no_form()
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise _no_form() from error
        return self._pieces.popleft()

    def _begin_part(self) -> None:
        self._head = _Head()

    def _end_header(self) -> None:
        if self._head.name.lower() == b"content-disposition":
            self._head.disposition = bytes(self._head.value)
        self._head.name.clear()
        self._head.value.clear()

    def _end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise _no_form()
    return boundary


def _part(head: _Head, form: _Form) -> Part:
    _, options = parse_options_header(head.disposition)
    try:
        name = options.get(b"name", b"").decode()
        file_name = options[b"filename"].decode() if b"filename" in options else None
    except UnicodeDecodeError as error:
        raise _no_form() from error
    return Part(name, file_name, form.chunks())


def _no_form() -> InvalidRequest:
    return InvalidRequest("send a whole form, with the content type multipart/form-data", field="body")
