"""The server's reasons for refusing a graph, in sentences that name node and input."""

from collections.abc import Mapping

from shared.comfy.errors import NodeProblem, PromptRefused
from shared.comfy.graph import Graph
from shared.comfy.untrusted import list_in, object_in, text_in
from shared.errors import JsonValue

__all__ = ["refusal_from"]

_REASONS = {
    "required_input_missing": "the input {input} is missing",
    "bad_linked_input": "the link at {input} is malformed",
    "return_type_mismatch": "the link at {input} comes from an output of another type",
    "invalid_input_type": "the value of {input} has the wrong type",
    "value_smaller_than_min": "the value of {input} is below its minimum",
    "value_bigger_than_max": "the value of {input} is above its maximum",
    "value_not_in_list": "the server does not offer the value of {input}",
    "custom_validation_failed": "the server does not accept the value of {input}",
    "dependency_cycle": "its links run in a circle",
}
_INNER = frozenset({"exception_during_inner_validation", "exception_during_validation"})
_OVERALL = {
    "prompt_no_outputs": "the graph has no node that saves or shows anything",
    "no_prompt": "the graph is empty",
    "invalid_prompt_id": "the server does not accept our run id",
}


def refusal_from(answer: JsonValue, graph: Graph) -> PromptRefused:
    """From the body of a 400, or of a 200 that took only some outputs. Tracebacks stay behind."""
    body = object_in(answer)
    node_errors = object_in(body.get("node_errors"))
    problems = tuple(
        problem
        for node, entry in node_errors.items()
        for problem in _node_problems(node, object_in(entry), graph)
    )
    if not problems:
        problems = (_overall_problem(object_in(body.get("error")), graph),)
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return PromptRefused(
        f"the ComfyUI server refused the graph: {first.message}{more}",
        problems=problems,
        node=first.node,
        input=first.input,
        reason=first.kind,
    )


def _node_problems(node: str, entry: Mapping[str, JsonValue], graph: Graph) -> list[NodeProblem]:
    return [
        _node_problem(node, object_in(error), text_in(entry.get("class_type")) or _class_of(graph, node))
        for error in list_in(entry.get("errors"))
    ]


def _node_problem(node: str, error: Mapping[str, JsonValue], class_type: str | None) -> NodeProblem:
    kind = text_in(error.get("type")) or "unknown"
    facts = object_in(error.get("extra_info"))
    name = None if kind in _INNER else text_in(facts.get("input_name"))
    reason = _REASONS.get(kind, "the server could not check it; are its links right?")
    value = facts.get("received_value")
    shown = f" ({value})" if isinstance(value, str | int | float) and len(str(value)) <= 80 else ""
    return NodeProblem(
        kind=kind,
        message=f"node {node} ({class_type}): {reason.format(input=name)}{shown}",
        node=node,
        class_type=class_type,
        input=name,
    )


def _overall_problem(error: Mapping[str, JsonValue], graph: Graph) -> NodeProblem:
    kind = text_in(error.get("type")) or "unknown"
    details = text_in(error.get("details")) or ""
    extra = object_in(error.get("extra_info"))
    node = text_in(extra.get("node_id")) or _quoted_node(details)
    if node is not None and node in graph.nodes:
        class_type = graph.nodes[node].class_type
        return NodeProblem(
            kind="unknown_class",
            message=f"node {node}: the server has no node class {class_type}",
            node=node,
            class_type=class_type,
        )
    return NodeProblem(kind=kind, message=_OVERALL.get(kind, "it is not a valid graph"))


def _quoted_node(details: str) -> str | None:
    """The id in "Node ID '#12'"."""
    _, found, rest = details.partition("'#")
    return rest.rstrip("'") if found else None


def _class_of(graph: Graph, node: str) -> str | None:
    return graph.nodes[node].class_type if node in graph.nodes else None
