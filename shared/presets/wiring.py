"""A graph being rendered: values put in, nodes taken out or repeated."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from shared.comfy.graph import Graph, InputValue, Link, Node
from shared.presets.binding import NodeRef, find_node
from shared.presets.errors import PresetError

__all__ = ["Wiring"]


class Wiring:
    """A changeable copy of a graph. Nodes are found by the names they have in the original; what
    is done to a node that was taken out has no effect."""

    def __init__(self, graph: Graph) -> None:
        self._original = graph
        self._nodes = dict(graph.nodes)

    def graph(self) -> Graph:
        return Graph(MappingProxyType(dict(self._nodes)))

    def find(self, ref: NodeRef, *, field: str) -> str:
        return find_node(self._original, ref, field=field)

    def put(self, ref: NodeRef, input_name: str, value: InputValue, *, field: str) -> None:
        node_id = self.find(ref, field=field)
        if node_id in self._nodes:
            self._set(node_id, {input_name: value})

    def take_out(self, ref: NodeRef, through: Sequence[str], *, field: str) -> None:
        """Readers of the node's output i read what went into its input `through[i]` instead."""
        node_id = self.find(ref, field=field)
        node = self._nodes.pop(node_id, None)
        if node is None:
            return
        for reader_id, reader in list(self._nodes.items()):
            for name, value in reader.inputs.items():
                if isinstance(value, Link) and value.node == node_id:
                    self._set(reader_id, {name: _origin(node, through, value, node_id, field)})

    def repeat(
        self, ref: NodeRef, through: Sequence[str], entries: Sequence[Mapping[str, InputValue]], *, field: str
    ) -> None:
        """The node once for each of `entries` (inputs to set), in a row along its `through` inputs."""
        node_id = self.find(ref, field=field)
        if not entries:
            self.take_out(ref, through, field=field)
            return
        template = self._nodes[node_id]
        self._nodes[node_id] = _with_inputs(template, entries[-1])
        previous: Mapping[str, InputValue] = {name: template.inputs[name] for name in through}
        for index, entry in enumerate(entries[:-1]):
            copy_id = f"{node_id}.{index + 1}"
            self._nodes[copy_id] = _with_inputs(template, {**entry, **previous})
            previous = {name: Link(copy_id, slot) for slot, name in enumerate(through)}
        self._set(node_id, previous)

    def _set(self, node_id: str, inputs: Mapping[str, InputValue]) -> None:
        self._nodes[node_id] = _with_inputs(self._nodes[node_id], inputs)


def _with_inputs(node: Node, inputs: Mapping[str, InputValue]) -> Node:
    return Node(node.class_type, MappingProxyType({**node.inputs, **inputs}), node.title)


def _origin(node: Node, through: Sequence[str], link: Link, node_id: str, field: str) -> InputValue:
    slot = link.slot
    if isinstance(slot, int) and 0 <= slot < len(through) and through[slot] in node.inputs:
        return node.inputs[through[slot]]
    raise PresetError(
        f"{field}: node {node_id} cannot be taken out, nothing stands in for its output {slot}",
        field=field,
        node=node_id,
    )
