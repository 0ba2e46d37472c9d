"""A workflow as ComfyUI's editor saves it: nodes with slots, links by number, values by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from shared.comfy.graph import GraphError
from shared.comfy.untrusted import list_in, object_in, text_in
from shared.errors import JsonValue

__all__ = [
    "SUBGRAPH_INPUT",
    "SUBGRAPH_OUTPUT",
    "EditorGraph",
    "EditorLink",
    "EditorNode",
    "EditorSlot",
    "NodeMode",
    "is_editor_format",
    "parse_workflow",
]

SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = "-10", "-20"  # the nodes that stand for a subgraph's own slots


class NodeMode(IntEnum):
    ALWAYS = 0
    MUTED = 2
    BYPASSED = 4


@dataclass(frozen=True, slots=True)
class EditorSlot:
    """`widget` names the field that this slot replaces while a link is attached."""

    name: str
    type: str
    link: int | None
    widget: str | None


@dataclass(frozen=True, slots=True)
class EditorLink:
    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorNode:
    id: str
    type: str
    title: str | None
    mode: int
    inputs: tuple[EditorSlot, ...]
    output_types: tuple[str, ...]
    values: Sequence[JsonValue] | Mapping[str, JsonValue]

    @property
    def is_left_out(self) -> bool:
        return self.mode in {NodeMode.MUTED, NodeMode.BYPASSED}


@dataclass(frozen=True, slots=True)
class EditorGraph:
    """`subgraphs` are the workflow's definitions by id, which stands as the type of their instances."""

    nodes: Mapping[str, EditorNode]
    links: Mapping[int, EditorLink]
    subgraphs: Mapping[str, "EditorGraph"]


def is_editor_format(data: JsonValue) -> bool:
    return isinstance(data, Mapping) and isinstance(data.get("nodes"), list) and "links" in data


def parse_workflow(data: JsonValue) -> EditorGraph:
    """Read what "Save" writes. Raises GraphError."""
    if not isinstance(data, Mapping) or not is_editor_format(data):
        raise GraphError("this is not a workflow in ComfyUI's editor format")
    parsed: dict[str, EditorGraph] = {}
    for definition in list_in(object_in(data.get("definitions")).get("subgraphs")):
        if isinstance(definition, Mapping):
            parsed[str(definition.get("id"))] = _parse_graph(definition, parsed)
    return _parse_graph(data, parsed)


def _parse_graph(data: Mapping[str, JsonValue], subgraphs: Mapping[str, EditorGraph]) -> EditorGraph:
    found = [_parse_node(node) for node in list_in(data.get("nodes"))]
    return EditorGraph(
        nodes=MappingProxyType({node.id: node for node in found}),
        links=MappingProxyType(dict(_parse_link(link) for link in list_in(data.get("links")))),
        subgraphs=subgraphs,
    )


def _parse_node(data: JsonValue) -> EditorNode:
    node = object_in(data)
    node_id, kind = node.get("id"), node.get("type")
    if not isinstance(node_id, int | str) or not isinstance(kind, str):
        raise GraphError("the workflow has a node without an id or a type")
    mode, values = node.get("mode"), node.get("widgets_values")
    return EditorNode(
        id=str(node_id),
        type=kind,
        title=text_in(node.get("title")),
        mode=mode if isinstance(mode, int) else NodeMode.ALWAYS,
        inputs=tuple(_parse_slot(slot) for slot in list_in(node.get("inputs"))),
        output_types=tuple(str(object_in(slot).get("type")) for slot in list_in(node.get("outputs"))),
        values=values if isinstance(values, list | Mapping) else (),
    )


def _parse_slot(data: JsonValue) -> EditorSlot:
    slot = object_in(data)
    link = slot.get("link")
    return EditorSlot(
        name=str(slot.get("name")),
        type=str(slot.get("type")),
        link=link if isinstance(link, int) else None,
        widget=text_in(object_in(slot.get("widget")).get("name")),
    )


def _parse_link(data: JsonValue) -> tuple[int, EditorLink]:
    """A list [id, origin, slot, target, slot, type], or in newer files an object."""
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    parts = [data.get(key) for key in keys] if isinstance(data, Mapping) else list_in(data)[:5]
    match parts:
        case [int(number), origin, int(origin_slot), target, int(target_slot)]:
            return number, EditorLink(str(origin), origin_slot, str(target), target_slot)
        case _:
            raise GraphError("the workflow has a link that cannot be read")
