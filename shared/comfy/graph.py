"""A ComfyUI workflow in API format, as values.

Parsing keeps what the server would refuse (unknown classes, dangling links), so that the refusal
can name the node; it rejects only what is not a graph at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from shared.comfy.untrusted import object_in, text_in
from shared.errors import JsonValue, UsageError

__all__ = ["Graph", "GraphError", "InputValue", "Link", "Node", "parse_graph"]


class GraphError(UsageError):
    """Not a graph in API format; `details` name the node where one is at fault."""

    code = "invalid_graph"


@dataclass(frozen=True, slots=True)
class Link:
    """Output `slot` of another node. `node` keeps the JSON value: the server refuses non-strings."""

    node: JsonValue
    slot: JsonValue


InputValue = JsonValue | Link


@dataclass(frozen=True, slots=True)
class Node:
    class_type: str
    inputs: Mapping[str, InputValue] = field(default_factory=dict)
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: Mapping[str, Node]

    def to_json(self) -> dict[str, JsonValue]:
        """The object that goes under `prompt` in POST /prompt."""
        return {node_id: _node_to_json(node) for node_id, node in self.nodes.items()}


def parse_graph(data: JsonValue) -> Graph:
    """Read a graph in API format. Raises GraphError saying which node is wrong and what to do."""
    if not isinstance(data, Mapping):
        raise GraphError("this is not a ComfyUI graph: the file must hold one JSON object of nodes")
    if "nodes" in data and "links" in data:
        raise GraphError(
            "this workflow is in ComfyUI's editor format; export it in API format "
            "(ComfyUI: Workflow → Export (API))"
        )
    return Graph(MappingProxyType({node_id: _parse_node(node_id, value) for node_id, value in data.items()}))


def _parse_node(node_id: str, data: JsonValue) -> Node:
    if not isinstance(data, Mapping):
        raise GraphError(f"node {node_id} is not an object", node=node_id)
    class_type = data.get("class_type")
    if not isinstance(class_type, str):
        raise GraphError(f"node {node_id} has no class_type", node=node_id)
    inputs = data.get("inputs", {})
    if not isinstance(inputs, Mapping):
        raise GraphError(f"the inputs of node {node_id} ({class_type}) are not an object", node=node_id)
    return Node(
        class_type=class_type,
        inputs=MappingProxyType({name: _parse_value(value) for name, value in inputs.items()}),
        title=text_in(object_in(data.get("_meta")).get("title")),
    )


def _parse_value(value: JsonValue) -> InputValue:
    """A list of two is a link; `{"__value__": [...]}` is how a literal list is written."""
    if isinstance(value, list) and len(value) == 2:
        return Link(value[0], value[1])
    return value


def _node_to_json(node: Node) -> dict[str, JsonValue]:
    data: dict[str, JsonValue] = {
        "class_type": node.class_type,
        "inputs": {
            name: [value.node, value.slot] if isinstance(value, Link) else value
            for name, value in node.inputs.items()
        },
    }
    if node.title is not None:
        data["_meta"] = {"title": node.title}
    return data
