"""Bytes to requests and answers, and a WebSocket peer: enough of HTTP/1.1 to be broken on purpose."""

import asyncio
import json
from dataclasses import dataclass
from email import message_from_bytes
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.frames import Opcode
from websockets.server import ServerProtocol

__all__ = ["Request", "SocketPeer", "answer", "json_answer", "read_request"]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    head: bytes

    def json(self) -> dict:
        return json.loads(self.body)

    def form(self) -> dict[str, tuple[str | None, bytes]]:
        """Name → (file name, content) of a multipart body."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + self.body).get_payload()
        return {
            part.get_param("name", header="content-disposition"): (
                part.get_filename(),
                part.get_payload(decode=True),
            )
            for part in parts
        }


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await _read_body(reader, headers)
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Request(method, unquote(parts.path), query, headers, body, head)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def answer(status: int, body: bytes = b"", content_type: str = "application/octet-stream") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def json_answer(data: object, status: int = 200) -> bytes:
    return answer(status, json.dumps(data).encode(), "application/json; charset=utf-8")


class SocketPeer:
    def __init__(self, writer: asyncio.StreamWriter, request: Request) -> None:
        self._writer = writer
        self._protocol = ServerProtocol()
        self._protocol.receive_data(request.head)
        upgrade = self._protocol.events_received()[0]
        self._protocol.send_response(self._protocol.accept(upgrade))
        self._flush()
        self.received: list[dict] = []

    async def read(self, reader: asyncio.StreamReader, on_text) -> None:
        while data := await _some(reader):
            self._protocol.receive_data(data)
            for frame in self._protocol.events_received():
                if frame.opcode is Opcode.TEXT:
                    message = json.loads(frame.data)
                    self.received.append(message)
                    on_text(self, message)
            self._flush()
        self._protocol.receive_eof()

    def send(self, frame: str | bytes) -> None:
        if self._protocol.state.name != "OPEN":
            return
        if isinstance(frame, str):
            self._protocol.send_text(frame.encode())
        else:
            self._protocol.send_binary(frame)
        self._flush()

    def abort(self) -> None:
        self._writer.transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)
            elif not data:
                self._writer.close()


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""
