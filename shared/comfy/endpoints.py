"""The HTTP side of one ComfyUI server: each call once, with its time limit and a bound on its answer."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import httpx

from shared.comfy.address import ServerAddress
from shared.comfy.errors import (
    FileGone,
    FileTooLarge,
    ServerAbsent,
    ServerFaulty,
    ServerUnreachable,
    UploadRefused,
)
from shared.comfy.records import ServerFile
from shared.errors import JsonValue
from shared.logs import request_id

__all__ = ["Answer", "Endpoints", "UploadedFile"]

_MAX_JSON_BYTES = 128 << 20
_CHUNK_BYTES = 1 << 18
_GATEWAY_ERRORS = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """A status below 500 with its JSON, None where the body is none; or 500, which says nothing."""

    status: int
    data: JsonValue


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """Where the server put a file; only these names count, not those that were asked for."""

    name: str
    subfolder: str
    type: str

    @property
    def reference(self) -> str:
        """How a loader node names it."""
        path = f"{self.subfolder}/{self.name}" if self.subfolder else self.name
        return path if self.type == "input" else f"{path} [{self.type}]"


class Endpoints:
    """Raises ServerUnreachable where no answer came, ServerFaulty where it makes no sense."""

    def __init__(
        self, *, address: ServerAddress, timeout_s: float = 30.0, connect_timeout_s: float = 5.0
    ) -> None:
        self.address = address.url
        self._http = httpx.AsyncClient(
            base_url=address.url,
            headers=address.headers,
            timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s),
            limits=httpx.Limits(max_keepalive_connections=16, keepalive_expiry=60.0),
            trust_env=False,
            event_hooks={"request": [_named]},
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def get(self, path: str) -> Answer:
        return await self._call("GET", path, None)

    async def post(self, path: str, body: Mapping[str, JsonValue]) -> Answer:
        return await self._call("POST", path, body)

    async def get_object(self, path: str) -> Mapping[str, JsonValue]:
        """The object at `path`; anything else is a fault."""
        answer = await self.get(path)
        if answer.status != 200 or not isinstance(answer.data, Mapping):
            raise ServerFaulty(f"{self.address} answered {answer.status} without an object to GET {path}")
        return answer.data

    async def history(self, prompt_id: str) -> JsonValue:
        """The entry of one prompt, None while there is none."""
        entries = await self.get_object(f"/history/{quote(prompt_id, safe='')}")
        return entries.get(prompt_id)

    async def upload(self, path: Path, *, name: str, subfolder: str) -> UploadedFile:
        """Send an input file. Raises UploadRefused."""
        with path.open("rb") as file:
            async with self._sending(
                "POST",
                "/upload/image",
                files={"image": (name, file, "application/octet-stream")},
                data={"type": "input", "subfolder": subfolder},
            ) as response:
                data = _json(await self._body(response))
        stored = data.get("name") if isinstance(data, Mapping) else None
        if response.status_code != 200 or not isinstance(data, Mapping) or not isinstance(stored, str):
            why = (
                "it is too large for it" if response.status_code == 413 else f"answer {response.status_code}"
            )
            raise UploadRefused(f"the ComfyUI server would not take {path.name}: {why}", file=path.name)
        return UploadedFile(stored, str(data.get("subfolder") or ""), str(data.get("type") or "input"))

    async def download(self, file: ServerFile, sink: BinaryIO, *, max_bytes: int) -> None:
        """Stream an output into `sink`. Raises FileGone, FileTooLarge."""
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        async with self._sending("GET", "/view", params=query) as response:
            if response.status_code in {400, 403, 404}:
                raise FileGone("the ComfyUI server no longer has a file that it made", node=file.node)
            if response.status_code not in {200, 206}:
                raise ServerFaulty(f"{self.address} answered {response.status_code} to a download")
            written = 0
            async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                written += len(chunk)
                if written > max_bytes:
                    raise FileTooLarge(f"a file of node {file.node} is larger than {max_bytes} bytes")
                sink.write(chunk)

    async def _call(self, method: str, path: str, body: Mapping[str, JsonValue] | None) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self._sending(method, path, content=content, headers=headers) as response:
            data = await self._body(response)
        if response.status_code in _GATEWAY_ERRORS:
            raise ServerUnreachable(
                f"the ComfyUI server at {self.address} is not ready (answer {response.status_code})"
            )
        return Answer(response.status_code, _json(data))

    @asynccontextmanager
    async def _sending(self, method: str, path: str, **parts: object) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path, **parts) as response:  # type: ignore[arg-type]
                yield response
        except httpx.TransportError as error:
            raise _unreachable(self.address, error) from error
        except (httpx.DecodingError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise ServerFaulty(f"the server at {self.address} sent an unreadable answer") from error

    async def _body(self, response: httpx.Response) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > _MAX_JSON_BYTES:
                raise ServerFaulty(f"an answer of {self.address} is larger than {_MAX_JSON_BYTES} bytes")
        return bytes(data)


def _unreachable(address: str, error: httpx.TransportError) -> ServerUnreachable:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return ServerAbsent(
            f"no ComfyUI server answers at {address}: start it, or check the address",
            server=address,
        )
    if isinstance(error, httpx.TimeoutException):
        return ServerUnreachable(f"the ComfyUI server at {address} did not answer in time", server=address)
    return ServerUnreachable(f"the connection to the ComfyUI server at {address} broke off", server=address)


def _json(data: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value


async def _named(request: httpx.Request) -> None:
    """Whoever reads the server's own logs finds what a request of ours was for."""
    origin = request_id()
    if origin is not None:
        request.headers["X-Request-ID"] = origin
