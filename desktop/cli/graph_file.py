"""Graphs as people keep them in files."""

import asyncio
import json
from pathlib import Path

from desktop.runtime import Runtime
from shared.comfy.graph import Graph, parse_graph
from shared.errors import JsonValue, UsageError

__all__ = ["read_graph"]

_MAX_BYTES = 32 << 20


async def read_graph(path: Path, runtime: Runtime, *, server: str | None) -> Graph:
    """Raises UsageError naming the file, GraphError naming the node."""
    data = await asyncio.to_thread(_load, path)
    return parse_graph(data)


def _load(path: Path) -> JsonValue:
    """The file's JSON. Raises UsageError naming the file and the line."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is larger than {_MAX_BYTES >> 20} MiB: it is no graph", file=str(path))
        data: JsonValue = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", file=str(path)) from error
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path} is no JSON: {error.msg} in line {error.lineno}", file=str(path), line=error.lineno
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON text", file=str(path)) from error
    return data
