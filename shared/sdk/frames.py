"""The frames of a stream of server-sent events: the data of each, as text."""

from collections.abc import AsyncGenerator, Generator

import httpx

__all__ = ["async_frames", "frames", "is_frames"]

_DATA = "data:"


def is_frames(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return response.is_success and kind.startswith("text/event-stream")


async def async_frames(response: httpx.Response) -> AsyncGenerator[str, None]:
    """Ends early where the stream breaks. Closes the response."""
    try:
        async for line in response.aiter_lines():
            if line.startswith(_DATA):
                yield line.removeprefix(_DATA).strip()
    except httpx.TransportError:
        return
    finally:
        await response.aclose()


def frames(response: httpx.Response) -> Generator[str, None, None]:
    """The same for callers without an event loop."""
    try:
        for line in response.iter_lines():
            if line.startswith(_DATA):
                yield line.removeprefix(_DATA).strip()
    except httpx.TransportError:
        return
    finally:
        response.close()
