"""Runs a checked graph: each node once, after what it needs, forgetting values as soon as it can."""

import errno
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from shared.comfy.graph import Graph, Link
from shared.engines.builtin.classes import NODE_SPECS
from shared.engines.builtin.node_run import NodeRun, SavedFile
from shared.engines.builtin.nodes import composite, filters, geometry, load_save, masks, scale, text
from shared.engines.builtin.output_names import OutputNames
from shared.errors import FatalError, SafelightError

__all__ = ["NodeProgress", "RunFailed", "Surroundings", "execute", "implemented_classes"]

_PURE: Mapping[str, Callable[..., object]] = {
    **composite.NODES,
    **filters.NODES,
    **geometry.NODES,
    **load_save.NODES,
    **masks.NODES,
    **scale.NODES,
    **text.NODES,
}
_WITH_RUN: Mapping[str, Callable[..., object]] = {**load_save.NODES_WITH_RUN, **masks.NODES_WITH_RUN}

# What numpy, Pillow and Python raise when linked values make no sense to a node.
_FAULTS = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)


class RunFailed(FatalError):
    """A node failed; `cause` is the stable code of the reason."""

    code = "run_failed"

    def __init__(self, node: str, class_type: str, cause: str, says: str) -> None:
        super().__init__(f"node {node} ({class_type}) failed: {says}", node=node, class_type=class_type)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """`done` of `total` nodes are finished; `node` is the one that begins now, or None at the end."""

    node: str | None
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a run finds its input files and puts its results, and whom it tells."""

    files: Mapping[tuple[str, str], Path]
    folder: Path
    now: datetime
    on_progress: Callable[[NodeProgress], None]
    on_text: Callable[[str, str], None]
    pause: Callable[[], None]


def implemented_classes() -> frozenset[str]:
    return frozenset(_PURE) | frozenset(_WITH_RUN)


def execute(graph: Graph, around: Surroundings) -> list[SavedFile]:
    """Run a graph that passed `checked_graph`; what it saved, in order. Raises RunFailed.

    `around.pause` is called between nodes and within long ones, and may raise to stop the run.
    """
    order = _execution_order(graph)
    uses = _uses(graph, order)
    values: dict[tuple[str, int], object] = {}
    saved: list[SavedFile] = []
    names = OutputNames(now=around.now)
    graph_text = json.dumps(graph.to_json())
    for done, node in enumerate(order):
        around.pause()
        around.on_progress(NodeProgress(node, done, len(order)))
        run = NodeRun(
            node=node,
            folder=around.folder,
            names=names,
            graph_text=graph_text,
            pause=around.pause,
            say=partial(around.on_text, node),
            saved=saved,
        )
        _run_node(graph, run, around.files, values, uses)
    around.on_progress(NodeProgress(None, len(order), len(order)))
    return saved


def _run_node(
    graph: Graph,
    run: NodeRun,
    files: Mapping[tuple[str, str], Path],
    values: dict[tuple[str, int], object],
    uses: Counter[tuple[str, int]],
) -> None:
    class_type = graph.nodes[run.node].class_type
    arguments = _arguments(graph, run.node, files, values)
    for source in _links(graph, run.node):
        uses[source] -= 1
        if not uses[source]:
            del values[source]
    result = _called(class_type, run, arguments)
    outputs = NODE_SPECS[class_type].outputs
    results = result if len(outputs) != 1 and isinstance(result, tuple) else (result,)
    for slot, value in enumerate(results[: len(outputs)]):
        if uses[run.node, slot]:
            values[run.node, slot] = value


def _called(class_type: str, run: NodeRun, arguments: dict[str, object]) -> object:
    try:
        if class_type in _WITH_RUN:
            return _WITH_RUN[class_type](run, **arguments)
        return _PURE[class_type](**arguments)
    except SafelightError as error:
        raise RunFailed(run.node, class_type, error.code, error.message) from error
    except MemoryError as error:
        says = "there is not enough memory; use smaller pictures"
        raise RunFailed(run.node, class_type, "out_of_memory", says) from error
    except _FAULTS as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise RunFailed(run.node, class_type, "disk_full", "the disk is full; make room") from error
        says = f"{type(error).__name__}: {error}"
        raise RunFailed(run.node, class_type, "node_failed", says) from error


def _arguments(
    graph: Graph,
    name: str,
    files: Mapping[tuple[str, str], Path],
    values: Mapping[tuple[str, int], object],
) -> dict[str, object]:
    node = graph.nodes[name]
    specs = NODE_SPECS[node.class_type].inputs
    arguments: dict[str, object] = {}
    for input_name, value in node.inputs.items():
        if input_name not in specs:
            continue
        if isinstance(value, Link):
            arguments[input_name] = values[_source(graph, value)]
        elif specs[input_name].is_file:
            arguments[input_name] = files[name, input_name]
        else:
            arguments[input_name] = value
    return arguments


def _source(graph: Graph, link: Link) -> tuple[str, int]:
    node, slot = str(link.node), int(str(link.slot))
    return node, slot % len(NODE_SPECS[graph.nodes[node].class_type].outputs)


def _links(graph: Graph, name: str) -> list[tuple[str, int]]:
    node = graph.nodes[name]
    specs = NODE_SPECS[node.class_type].inputs
    return [
        _source(graph, value)
        for input_name, value in node.inputs.items()
        if input_name in specs and isinstance(value, Link)
    ]


def _execution_order(graph: Graph) -> list[str]:
    """Outputs in graph order, each right after what it needs: few values are alive at a time."""
    order: dict[str, None] = {}
    for output in graph.nodes:
        if not NODE_SPECS[graph.nodes[output].class_type].is_output:
            continue
        stack = [output]
        while stack:
            name = stack[-1]
            waiting = [source for source, _ in _links(graph, name) if source not in order]
            if name in order or not waiting:
                order.setdefault(stack.pop())
            else:
                stack.extend(reversed(waiting))
    return list(order)


def _uses(graph: Graph, order: list[str]) -> Counter[tuple[str, int]]:
    return Counter(source for name in order for source in _links(graph, name))
