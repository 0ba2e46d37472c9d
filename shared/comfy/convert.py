"""From the editor's format to the API format, by the rules of ComfyUI's own front end.

Muted nodes and links to them fall away; links pass through bypassed nodes and reroutes; primitives
give their value; subgraphs are unfolded, with ids like "7:3".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shared.comfy.dynamic_prompt import Chooser, resolve_prompt
from shared.comfy.editor import (
    SUBGRAPH_INPUT,
    SUBGRAPH_OUTPUT,
    EditorGraph,
    EditorLink,
    EditorNode,
    NodeMode,
    parse_workflow,
)
from shared.comfy.graph import Graph, GraphError, InputValue, Link, Node
from shared.comfy.node_catalog import NodeCatalogue, NodeClass
from shared.comfy.widgets import widget_values
from shared.errors import JsonValue

__all__ = ["convert_workflow"]

_NOTES = frozenset({"Note", "MarkdownNote"})
_REROUTE, _PRIMITIVE = "Reroute", "PrimitiveNode"
_VIRTUAL = _NOTES | {_REROUTE, _PRIMITIVE}
_ANY_TYPES = frozenset({"*", "", "0"})


def convert_workflow(data: JsonValue, catalogue: NodeCatalogue, *, choose: Chooser) -> Graph:
    """`choose` picks one of the alternatives of a dynamic prompt such as "a {red|blue} hat".

    Raises GraphError, naming the node where one is at fault.
    """
    root = _Scope(graph=parse_workflow(data), path=(), outer=None)
    nodes = _Conversion(catalogue, choose).nodes(root)
    kept = {
        node_id: Node(
            class_type=node.class_type,
            title=node.title,
            inputs=MappingProxyType(
                {
                    name: value
                    for name, value in node.inputs.items()
                    if not isinstance(value, Link) or value.node in nodes
                }
            ),
        )
        for node_id, node in nodes.items()
    }
    return Graph(MappingProxyType(kept))


@dataclass(frozen=True, slots=True)
class _Scope:
    """A graph at its place: the workflow itself, or a subgraph within one of its instances."""

    graph: EditorGraph
    path: tuple[str, ...]
    outer: "tuple[_Scope, EditorNode] | None"

    def id_of(self, node: EditorNode) -> str:
        return ":".join((*self.path, node.id))

    def inside(self, instance: EditorNode) -> "_Scope":
        graph = self.graph.subgraphs[instance.type]
        return _Scope(graph=graph, path=(*self.path, instance.id), outer=(self, instance))

    def link(self, number: int) -> EditorLink | None:
        return self.graph.links.get(number)


@dataclass(frozen=True, slots=True)
class _Constant:
    value: JsonValue


_Source = Link | _Constant | None
_Seen = frozenset[tuple[str, str, int]]


class _Conversion:
    def __init__(self, catalogue: NodeCatalogue, choose: Chooser) -> None:
        self._catalogue = catalogue
        self._choose = choose

    def nodes(self, scope: _Scope) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for node in scope.graph.nodes.values():
            if node.is_left_out or node.type in _VIRTUAL:
                continue
            if node.type in scope.graph.subgraphs:
                if node.type in {instance.type for instance in _instances(scope)}:
                    raise GraphError(f"the subgraph of node {scope.id_of(node)} contains itself")
                found |= self.nodes(scope.inside(node))
            else:
                found[scope.id_of(node)] = self._node(scope, node)
        return found

    def _node(self, scope: _Scope, node: EditorNode) -> Node:
        node_class = self._catalogue.classes.get(node.type)
        if node_class is None:
            raise GraphError(
                f"node {scope.id_of(node)}: the class {node.type} is not known here, so its fields cannot "
                "be read; export the workflow in API format",
                node=scope.id_of(node),
            )
        inputs: dict[str, InputValue] = {
            name: _literal(self._text(node_class, name, value))
            for name, value in widget_values(node, node_class).items()
        }
        for at, slot in enumerate(node.inputs):
            match self._into(scope, node, at, slot.type, frozenset()):
                case Link() as link:
                    inputs[slot.name] = link
                case _Constant(value):
                    inputs[slot.widget or slot.name] = _literal(value)
                case None:
                    pass
        return Node(
            class_type=node.type,
            inputs=MappingProxyType(inputs),
            title=node.title or node_class.display_name,
        )

    def _text(self, node_class: NodeClass, name: str, value: JsonValue) -> JsonValue:
        is_dynamic = node_class.inputs[name].dynamic_prompt
        return resolve_prompt(value, self._choose) if is_dynamic and isinstance(value, str) else value

    def _into(self, scope: _Scope, node: EditorNode, slot: int, kind: str, seen: _Seen) -> _Source:
        """What arrives at input `slot` of `node`; nothing where no link leads to a node that runs."""
        here = (scope.id_of(node), "in", slot)
        if here in seen:
            raise GraphError(f"the links of node {scope.id_of(node)} run in a circle", node=scope.id_of(node))
        if slot >= len(node.inputs):
            return None
        number = node.inputs[slot].link
        link = None if number is None else scope.link(number)
        if link is None:
            return None
        return self._from(scope, link, kind, seen | {here})

    def _from(self, scope: _Scope, link: EditorLink, kind: str, seen: _Seen) -> _Source:
        if link.origin == SUBGRAPH_INPUT and scope.outer is not None:
            outer, instance = scope.outer
            return self._into(outer, instance, link.origin_slot, kind, seen)
        node = scope.graph.nodes.get(link.origin)
        if node is None or node.mode == NodeMode.MUTED:
            return None
        if node.mode == NodeMode.BYPASSED:
            through = _bypass_slot(node, link.origin_slot, kind)
        elif node.type == _REROUTE:
            through = 0
        else:
            return self._made_by(scope, node, link.origin_slot, kind, seen)
        return None if through is None else self._into(scope, node, through, kind, seen)

    def _made_by(self, scope: _Scope, node: EditorNode, slot: int, kind: str, seen: _Seen) -> _Source:
        if node.type == _PRIMITIVE:
            return _Constant(node.values[0]) if not isinstance(node.values, Mapping) and node.values else None
        if node.type in scope.graph.subgraphs:
            return self._out_of_subgraph(scope.inside(node), slot, kind, seen)
        return Link(scope.id_of(node), slot)

    def _out_of_subgraph(self, scope: _Scope, slot: int, kind: str, seen: _Seen) -> _Source:
        for link in scope.graph.links.values():
            if link.target == SUBGRAPH_OUTPUT and link.target_slot == slot:
                return self._from(scope, link, kind, seen)
        return None


def _instances(scope: _Scope) -> list[EditorNode]:
    """The subgraph instances in which a scope lies."""
    found = []
    outer = scope.outer
    while outer is not None:
        found.append(outer[1])
        outer = outer[0].outer
    return found


def _bypass_slot(node: EditorNode, output: int, kind: str) -> int | None:
    """The input that stands in for a bypassed node's output: the opposite one if its type fits, else
    the first of exactly the wanted type, else the first that fits."""
    inputs = node.inputs
    if kind in _ANY_TYPES:
        return output if output < len(inputs) else 0 if inputs else None
    made = node.output_types[output] if output < len(node.output_types) else kind
    if output < len(inputs) and _fits(inputs[output].type, made) and _fits(inputs[output].type, kind):
        return output
    exact = [at for at, slot in enumerate(inputs) if slot.type == kind]
    loose = [at for at, slot in enumerate(inputs) if _fits(slot.type, made) and _fits(slot.type, kind)]
    return next(iter([*exact, *loose]), None)


def _fits(one: str, other: str) -> bool:
    """Types match by name, letter case aside; lists with commas match if any of their names does."""
    if one in _ANY_TYPES or other in _ANY_TYPES:
        return True
    return not set(one.lower().split(",")).isdisjoint(other.lower().split(","))


def _literal(value: JsonValue) -> JsonValue:
    """A list would be taken for a link."""
    return {"__value__": value} if isinstance(value, list) else value
