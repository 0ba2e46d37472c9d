"""Where values attach in a graph, and the search for the nodes meant."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.comfy.graph import Graph, Node
from shared.presets.errors import PresetError
from shared.presets.plain import PlainValue
from shared.presets.transform import Transform

__all__ = ["ALIAS_PREFIX", "Binding", "Bypass", "NodeRef", "Target", "find_node"]

ALIAS_PREFIX = "sl:"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRef:
    """A node by `alias` (its title, which begins with "sl:"), by `id` and `class_type`, or by a
    `class_type` and full `title` that occur once. Looked for in this order."""

    alias: str | None = None
    id: str | None = None
    class_type: str | None = None
    title: str | None = None

    def __str__(self) -> str:
        if self.alias is not None:
            return f"“{self.alias}”"
        wanted = f"{self.id or ''} {self.class_type or ''}".strip()
        return f"{wanted} “{self.title}”" if self.title is not None else wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    node: NodeRef
    input: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bypass:
    """The node is taken out while the value is one of `when`: whoever read its output slot i
    reads what went into its input `through[i]` instead."""

    node: NodeRef
    when: tuple[PlainValue, ...]
    through: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The value of `parameter` goes to every target, and takes nodes out by its bypasses.

    A `lora_list` names one LoraLoader node as `repeat`: it stands once for each entry.
    """

    parameter: str
    targets: tuple[Target, ...] = ()
    transform: Transform | None = None
    bypass: tuple[Bypass, ...] = ()
    repeat: NodeRef | None = None


def find_node(graph: Graph, ref: NodeRef, *, field: str) -> str:
    """The id of the node that `ref` names; PresetError with field and node if none or several."""
    candidates = _candidates(graph, ref)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise PresetError(
            f"{field} names node {ref}, which the graph does not have; set its title or correct the name",
            field=field,
            node=str(ref),
        )
    raise PresetError(
        f"{field} names node {ref}, but nodes {', '.join(candidates)} answer to it; give one an alias",
        field=field,
        node=str(ref),
    )


def _candidates(graph: Graph, ref: NodeRef) -> list[str]:
    if ref.alias is not None:
        return _ids_where(graph, lambda node: node.title == ref.alias)
    if ref.id is not None:
        node = graph.nodes.get(ref.id)
        return [ref.id] if node is not None and node.class_type == ref.class_type else []
    return _ids_where(graph, lambda node: node.class_type == ref.class_type and node.title == ref.title)


def _ids_where(graph: Graph, matches: Callable[[Node], bool]) -> list[str]:
    return [node_id for node_id, node in graph.nodes.items() if matches(node)]
