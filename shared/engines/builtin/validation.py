"""Whether a graph can run, decided as the real server decides it, and stricter in one point.

Values are coerced in place; only nodes that an output needs are looked at beyond their class; ranges
and listed choices are checked for typed values, never for links. Unlike the server, which runs the
good outputs of a graph and drops the rest, a graph with any fault is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from shared.comfy.graph import Graph, InputValue, Link, Node
from shared.engines.base import WorkRefused
from shared.engines.builtin.classes import NODE_SPECS
from shared.engines.builtin.spec import InputSpec
from shared.errors import JsonValue

__all__ = ["Fault", "FaultKind", "checked_graph", "find_faults", "refusal"]

# The server follows links by recursion, each node once, and gives up on longer chains.
_MAX_DEPTH = 984


class FaultKind(StrEnum):
    """The names that the server gives to these faults."""

    UNKNOWN_CLASS = "invalid_prompt"
    NO_OUTPUTS = "prompt_no_outputs"
    INPUT_MISSING = "required_input_missing"
    BAD_LINK = "bad_linked_input"
    BAD_LINK_TARGET = "exception_during_inner_validation"
    CYCLE = "dependency_cycle"
    TOO_DEEP = "exception_during_validation"
    TYPE_MISMATCH = "return_type_mismatch"
    BAD_VALUE = "invalid_input_type"
    TOO_SMALL = "value_smaller_than_min"
    TOO_BIG = "value_bigger_than_max"
    NOT_IN_LIST = "value_not_in_list"
    FILE_MISSING = "custom_validation_failed"


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason to refuse. `message` is a sentence for the user."""

    kind: FaultKind
    message: str
    node: str | None = None
    class_type: str | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    node: str
    class_type: str
    input: str

    def fault(self, kind: FaultKind, says: str) -> Fault:
        message = f"node {self.node} ({self.class_type}): {says}"
        return Fault(kind, message, self.node, self.class_type, self.input)


def checked_graph(graph: Graph, files: AbstractSet[tuple[str, str]]) -> Graph:
    """The graph with its values coerced, as the server would run it. Raises WorkRefused.

    `files` says for which (node, input) an input file is there.
    """
    coerced = Graph(MappingProxyType({name: _coerced(node) for name, node in graph.nodes.items()}))
    faults = find_faults(coerced, files)
    if faults:
        raise refusal(faults)
    return coerced


def refusal(faults: list[Fault]) -> WorkRefused:
    """The first fault in words, and all of them in the details."""
    first = faults[0]
    every: list[JsonValue] = [
        {"kind": fault.kind, "node": fault.node, "input": fault.input, "message": fault.message}
        for fault in faults
    ]
    return WorkRefused(
        first.message,
        node=first.node,
        class_type=first.class_type,
        input=first.input,
        kind=first.kind,
        faults=every,
    )


def find_faults(graph: Graph, files: AbstractSet[tuple[str, str]]) -> list[Fault]:
    """Every reason to refuse a graph with coerced values; classes first, as the server does."""
    for name, node in graph.nodes.items():
        if node.class_type not in NODE_SPECS:
            says = f"node {name} is a {node.class_type}, which the built-in engine does not have"
            return [Fault(FaultKind.UNKNOWN_CLASS, says, name, node.class_type, "class_type")]
    outputs = [name for name, node in graph.nodes.items() if NODE_SPECS[node.class_type].is_output]
    if not outputs:
        return [Fault(FaultKind.NO_OUTPUTS, "the graph saves nothing: add a SaveImage node")]
    needed, faults = _needed_nodes(graph, outputs)
    for name in needed:
        faults += _node_faults(graph, name, files)
    return faults


def _needed_nodes(graph: Graph, outputs: list[str]) -> tuple[list[str], list[Fault]]:
    """Nodes upstream of the outputs, in graph order, and faults in how they hang together."""
    seen: set[str] = set()
    open_nodes: set[str] = set()
    stack = [(name, 0, False) for name in reversed(outputs)]
    while stack:
        name, depth, leaving = stack.pop()
        if leaving:
            open_nodes.discard(name)
            continue
        if name in open_nodes:
            return [], [_circle(graph, name)]
        if depth > _MAX_DEPTH:
            says = f"more than {_MAX_DEPTH} nodes follow each other"
            return [], [Fault(FaultKind.TOO_DEEP, says, name, graph.nodes[name].class_type)]
        if name in seen:
            continue
        seen.add(name)
        open_nodes.add(name)
        stack.append((name, depth, True))
        stack.extend((source, depth + 1, False) for source in _sources(graph, name))
    return [name for name in graph.nodes if name in seen], []


def _circle(graph: Graph, name: str) -> Fault:
    class_type = graph.nodes[name].class_type
    input_name = next(
        (key for key, value in graph.nodes[name].inputs.items() if isinstance(value, Link)), None
    )
    says = f"node {name} ({class_type}) depends on its own result: the links form a circle"
    return Fault(FaultKind.CYCLE, says, name, class_type, input_name)


def _sources(graph: Graph, name: str) -> Iterator[str]:
    node = graph.nodes[name]
    for input_name in NODE_SPECS[node.class_type].inputs:
        value = node.inputs.get(input_name)
        if isinstance(value, Link) and isinstance(value.node, str) and value.node in graph.nodes:
            yield value.node


def _node_faults(graph: Graph, name: str, files: AbstractSet[tuple[str, str]]) -> list[Fault]:
    node = graph.nodes[name]
    faults: list[Fault] = []
    for input_name, spec in NODE_SPECS[node.class_type].inputs.items():
        place = _Place(name, node.class_type, input_name)
        if input_name not in node.inputs:
            if spec.required:
                faults.append(place.fault(FaultKind.INPUT_MISSING, f"the input {input_name} is missing"))
            continue
        value = node.inputs[input_name]
        if isinstance(value, Link):
            fault = _link_fault(graph, place, spec, value)
        else:
            fault = _value_fault(place, spec, value, files)
        faults += [fault] if fault else []
    return faults


def _link_fault(graph: Graph, place: _Place, spec: InputSpec, link: Link) -> Fault | None:
    if not isinstance(link.node, str) or link.node not in graph.nodes:
        says = f"{place.input} is linked to node {link.node}, which is not in the graph"
        return place.fault(FaultKind.BAD_LINK_TARGET, says)
    source = graph.nodes[link.node]
    outputs = NODE_SPECS[source.class_type].outputs
    if not isinstance(link.slot, int) or not -len(outputs) <= link.slot < len(outputs):
        says = f"{place.input} is linked to output {link.slot} of node {link.node}, which has {len(outputs)}"
        return place.fault(FaultKind.BAD_LINK_TARGET, says)
    given = outputs[link.slot]
    if spec.type != "*" and (given != spec.type or spec.listed):
        wanted = f"one of {', '.join(spec.choices)}" if spec.choices else spec.type
        says = f"{place.input} takes {wanted}, but node {link.node} gives {given}"
        return place.fault(FaultKind.TYPE_MISMATCH, says)
    return None


def _value_fault(
    place: _Place, spec: InputSpec, value: JsonValue, files: AbstractSet[tuple[str, str]]
) -> Fault | None:
    name, fault = place.input, None
    if isinstance(value, list):
        fault = FaultKind.BAD_LINK, f"{name} is a list that is no link"
    elif isinstance(value, _Uncoercible):
        fault = FaultKind.BAD_VALUE, f"{name} = {value.given!r} is not {spec.type}"
    elif spec.is_file:
        if (place.node, name) not in files:
            fault = FaultKind.FILE_MISSING, f"the input file {value!r} was not given"
    elif spec.min is not None and isinstance(value, int | float) and value < spec.min:
        fault = FaultKind.TOO_SMALL, f"{name} = {value} is below {spec.min}"
    elif spec.max is not None and isinstance(value, int | float) and value > spec.max:
        fault = FaultKind.TOO_BIG, f"{name} = {value} is above {spec.max}"
    elif spec.listed and value not in spec.choices:
        fault = FaultKind.NOT_IN_LIST, f"{name} = {value!r} is not one of {', '.join(spec.choices)}"
    return place.fault(*fault) if fault else None


class _Uncoercible(str):
    """What stands in for a value that is not of its input's type; `given` is that value."""

    __slots__ = ("given",)
    given: JsonValue


# Applied as the server applies them: 9.9 becomes 9, "24" becomes 24, "false" becomes True.
_COERCIONS: Mapping[str, Callable[[Any], JsonValue]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


def _coerced(node: Node) -> Node:
    spec = NODE_SPECS.get(node.class_type)
    if spec is None:
        return node
    inputs: dict[str, InputValue] = {
        name: _coerce(spec.inputs[name].type, value) if name in spec.inputs else value
        for name, value in node.inputs.items()
    }
    return replace(node, inputs=MappingProxyType(inputs))


def _coerce(type_: str, value: InputValue) -> InputValue:
    if isinstance(value, Mapping) and "__value__" in value:
        value = value["__value__"]
    elif isinstance(value, Link | list):
        return value
    coercion = _COERCIONS.get(type_)
    if coercion is None:
        return value
    try:
        return coercion(value)
    except (TypeError, ValueError, OverflowError):
        wrong = _Uncoercible(value)
        wrong.given = value
        return wrong
