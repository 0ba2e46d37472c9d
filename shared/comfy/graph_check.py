"""What a server would refuse in a graph, found from its catalogue before anything is sent."""

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

from shared.comfy.errors import NodeProblem
from shared.comfy.graph import Graph, InputValue, Link, Node
from shared.comfy.node_catalog import InputSpec, NodeCatalogue, NodeClass
from shared.errors import JsonValue

__all__ = ["check_graph", "is_model_file", "output_nodes", "upstream_of"]

_MODEL_SUFFIXES = frozenset(
    {".safetensors", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".sft", ".gguf", ".onnx", ".pkl"}
)
_LONGEST_LIST = 8


def check_graph(
    graph: Graph, catalogue: NodeCatalogue, *, staged: Collection[tuple[str, str]] = ()
) -> tuple[NodeProblem, ...]:
    """All problems, in the graph's order. `staged` are (node, input) whose files we bring ourselves.

    As on the server, every node must have a known class, and only what the outputs need is looked
    at more closely. Types of links and ranges of numbers are left to the server, which checks them
    before it runs anything; choices are not, since some versions find a wrong one only while running.
    Nor are circles: outputs that hang on one are left out of the run in silence where others do not.
    """
    unknown = tuple(_unknown_classes(graph, catalogue))
    if unknown:
        return unknown
    wanted = output_nodes(graph, catalogue)
    if not wanted:
        return (NodeProblem(kind="no_outputs", message="the graph has no node that saves or shows anything"),)
    needed = upstream_of(graph, wanted)
    circle = _circle(graph, needed)
    if circle is not None:
        return (circle,)
    return tuple(
        problem
        for node_id, node in graph.nodes.items()
        if node_id in needed
        for problem in _node_problems(node_id, node, catalogue.classes[node.class_type], staged)
    )


def output_nodes(graph: Graph, catalogue: NodeCatalogue) -> tuple[str, ...]:
    """The nodes for whose sake a graph runs."""
    return tuple(
        node_id
        for node_id, node in graph.nodes.items()
        if node.class_type in catalogue.classes and catalogue.classes[node.class_type].is_output
    )


def upstream_of(graph: Graph, nodes: Collection[str]) -> frozenset[str]:
    """These nodes and all that they depend on."""
    found: set[str] = set()
    waiting = [node for node in nodes if node in graph.nodes]
    while waiting:
        node_id = waiting.pop()
        if node_id in found:
            continue
        found.add(node_id)
        waiting += _sources(graph, node_id)
    return frozenset(found)


def is_model_file(value: InputValue) -> bool:
    return isinstance(value, str) and PurePosixPath(value).suffix.lower() in _MODEL_SUFFIXES


def _sources(graph: Graph, node_id: str) -> list[str]:
    links = [value for value in graph.nodes[node_id].inputs.values() if isinstance(value, Link)]
    return [link.node for link in links if isinstance(link.node, str) and link.node in graph.nodes]


def _circle(graph: Graph, needed: Collection[str]) -> NodeProblem | None:
    try:
        TopologicalSorter({node_id: _sources(graph, node_id) for node_id in needed}).prepare()
    except CycleError as error:
        members: list[str] = error.args[1]
    else:
        return None
    node_id = next(node_id for node_id in graph.nodes if node_id in members)
    class_type = graph.nodes[node_id].class_type
    return NodeProblem(
        kind="dependency_cycle",
        message=f"node {node_id} ({class_type}) depends on its own result: the links form a circle",
        node=node_id,
        class_type=class_type,
    )


def _unknown_classes(graph: Graph, catalogue: NodeCatalogue) -> Iterator[NodeProblem]:
    for node_id, node in graph.nodes.items():
        if node.class_type not in catalogue.classes:
            yield NodeProblem(
                kind="unknown_class",
                message=f"node {node_id}: the server has no node class {node.class_type}; "
                "install the custom node package that brings it, or update ComfyUI",
                node=node_id,
                class_type=node.class_type,
            )


def _node_problems(
    node_id: str, node: Node, node_class: NodeClass, staged: Collection[tuple[str, str]]
) -> Iterator[NodeProblem]:
    for name, spec in node_class.inputs.items():
        value = node.inputs.get(name)
        if name not in node.inputs:
            problem = ("required_input_missing", f"the input {name} is missing") if spec.required else None
        elif isinstance(value, Link) or (node_id, name) in staged:
            problem = None
        else:
            problem = _wrong_choice(spec, _unwrapped(value))
        if problem is not None:
            kind, reason = problem
            yield NodeProblem(
                kind=kind,
                message=f"node {node_id} ({node.class_type}): {reason}",
                node=node_id,
                class_type=node.class_type,
                input=name,
            )


def _unwrapped(value: JsonValue) -> JsonValue:
    return value["__value__"] if isinstance(value, Mapping) and "__value__" in value else value


def _wrong_choice(spec: InputSpec, value: JsonValue) -> tuple[str, str] | None:
    if spec.choices is None or isinstance(value, list | Mapping) or value in spec.choices:
        return None
    if spec.uploads:
        return _missing_input_file(spec, value)
    if is_model_file(value):
        return "model_missing", (
            f"the server has no model file {value} for {spec.name}; put it into ComfyUI's models folder"
            f"{_offered(spec.choices)}"
        )
    return "value_not_in_list", f"{spec.name} cannot be {value}{_offered(spec.choices)}"


def _missing_input_file(spec: InputSpec, value: JsonValue) -> tuple[str, str] | None:
    """Only top-level names are listed; what lies deeper or in another folder the server must judge."""
    if isinstance(value, str) and ("/" in value or "\\" in value or value.endswith("]")):
        return None
    return "input_file_missing", f"the server has no input file {value} for {spec.name}"


def _offered(choices: tuple[JsonValue, ...]) -> str:
    if not choices:
        return "; it has none"
    shown = ", ".join(str(choice) for choice in choices[:_LONGEST_LIST])
    return f"; it has {shown}{' …' if len(choices) > _LONGEST_LIST else ''}"
