"""Graphs as people keep them in files: in API format, alone or in a request, or as the editor saves them."""

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path

from desktop.engines.address import checked_server
from desktop.settings import Settings
from desktop.store.job import EngineChoice
from shared.comfy.client import ComfyClient
from shared.comfy.convert import convert_workflow
from shared.comfy.errors import ServerFaulty, ServerUnreachable
from shared.comfy.graph import Graph, GraphError, parse_graph
from shared.comfy.node_catalog import NodeCatalogue, parse_catalogue
from shared.engines.builtin.classes import object_info
from shared.errors import JsonValue, UsageError

__all__ = ["read_graph"]

_MAX_BYTES = 32 << 20


async def read_graph(path: Path, *, settings: Settings, engine: EngineChoice, server: str | None) -> Graph:
    """What the editor saved is converted with the node classes of the engine that may run it.

    Raises UsageError naming the file, GraphError naming the node.
    """
    data = _unpacked(await asyncio.to_thread(_load, path))
    if not isinstance(data, Mapping) or "nodes" not in data or "links" not in data:
        return parse_graph(data)
    if server is None and engine is not EngineChoice.COMFY:
        try:
            return convert_workflow(data, parse_catalogue(object_info()), choose=random.choice)
        except GraphError:
            if engine is not EngineChoice.AUTO:
                raise
    return convert_workflow(data, await _catalogue(settings, server), choose=random.choice)


async def _catalogue(settings: Settings, server: str | None) -> NodeCatalogue:
    address = server or settings.comfyui_url
    url = checked_server(address, allow_plain_http=settings.allow_plain_http).url
    client = ComfyClient(address)
    try:
        return await client.catalogue()
    except (ServerUnreachable, ServerFaulty) as error:
        raise GraphError(
            f"this workflow is in ComfyUI's editor format, and no ComfyUI answers at {url} to read it with: "
            "start ComfyUI, or export the workflow in API format (Workflow → Export (API))"
        ) from error
    finally:
        await client.aclose()


def _unpacked(data: JsonValue) -> JsonValue:
    """The graph of a whole request to ComfyUI, as programs keep it; a node has a class."""
    graph = data.get("prompt") if isinstance(data, Mapping) else None
    return graph if isinstance(graph, Mapping) and "class_type" not in graph else data


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
