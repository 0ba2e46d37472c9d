"""What the jobs of a lane need of a server: labels, and nodes and models of a preset or of a raw graph."""

import json
from collections.abc import Mapping, Sequence

from cloud.errors import InvalidRequest
from cloud.repositories.lanes import Lane
from cloud.services.graph_policy import AdmittedGraph
from cloud.services.model_choices import chosen_models
from shared.engines.base import Capabilities
from shared.presets.bundle import Preset
from shared.presets.requirement import Missing, MissingKind, match_model, missing_requirements

__all__ = ["GRAPH", "graph_needs", "labels_lacking", "labels_of", "lacking", "lane_title", "with_labels"]

GRAPH = "graph"  # stands where a preset's id does
_LABELS = "@labels"  # no parameter is called so
_LONGEST = 1500  # it is part of an index
_LONGEST_WITH_LABELS = 2000


def graph_needs(graph: AdmittedGraph) -> str:
    """As text, equal for graphs that run on the same servers. Raises InvalidRequest."""
    needs = {"nodes": sorted(graph.classes), "models": sorted("/".join(model) for model in graph.models)}
    text = json.dumps(needs, ensure_ascii=True, separators=(",", ":"))
    if len(text) > _LONGEST:
        raise InvalidRequest(
            "the graph uses too many different node classes and models; split it into several jobs",
            field="graph",
        )
    return text


def with_labels(needs: str, labels: Mapping[str, str]) -> str:
    """The same needs, of servers only that carry all of these labels. Raises InvalidRequest."""
    if not labels:
        return needs
    text = json.dumps({**json.loads(needs), _LABELS: dict(sorted(labels.items()))}, ensure_ascii=True)
    if len(text) > _LONGEST_WITH_LABELS:
        raise InvalidRequest("labels: these are too long together; ask for fewer", field="labels")
    return text


def labels_of(needs: str) -> dict[str, str]:
    labels: dict[str, str] = json.loads(needs).get(_LABELS, {})
    return labels


def labels_lacking(needs: str, labels: Mapping[str, str]) -> tuple[Missing, ...]:
    """Those that a server with `labels` does not carry."""
    wanted = labels_of(needs).items()
    return tuple(_missing_label(name, value) for name, value in wanted if labels.get(name) != value)


def lacking(
    lane: Lane, presets: Mapping[str, Preset], can: Capabilities, labels: Mapping[str, str]
) -> tuple[Missing, ...] | None:
    """What an engine lacks that carries these labels; None where the preset is not known here."""
    needs = labels_lacking(lane.models, labels)
    if lane.preset == GRAPH:
        return needs + _lacking_for_graph(json.loads(lane.models), can)
    preset = presets.get(lane.preset)
    if preset is None:
        return None
    chosen = {name: value for name, value in chosen_models(lane.models).items() if name != _LABELS}
    return needs + missing_requirements(preset, can.node_classes, can.models, chosen)


def _missing_label(name: str, value: str) -> Missing:
    return Missing(
        kind=MissingKind.LABEL, name=f"{name}={value}", message=f"the label {name}={value} is missing"
    )


def lane_title(lane: Lane, presets: Mapping[str, Preset]) -> str:
    preset = presets.get(lane.preset)
    return "this graph" if preset is None else preset.manifest.name


def _lacking_for_graph(needs: Mapping[str, Sequence[str]], can: Capabilities) -> tuple[Missing, ...]:
    nodes = () if can.node_classes is None else sorted(set(needs["nodes"]) - can.node_classes)
    missing = [Missing(kind=MissingKind.NODE, name=name, message=f"no node {name}") for name in nodes]
    for place in needs["models"]:
        folder, _, name = place.partition("/")
        if match_model(name, can.models.get(folder, ())) is None:
            missing.append(Missing(kind=MissingKind.MODEL, name=name, message=f"no {name} in {folder}"))
    return tuple(missing)
