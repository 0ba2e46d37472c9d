"""What the jobs of a lane need of a server: of a preset with the models chosen, or of a raw graph."""

import json
from collections.abc import Mapping, Sequence

from cloud.errors import InvalidRequest
from cloud.repositories.lanes import Lane
from cloud.services.graph_policy import AdmittedGraph
from cloud.services.model_choices import chosen_models
from shared.engines.base import Capabilities
from shared.presets.bundle import Preset
from shared.presets.requirement import Missing, MissingKind, match_model, missing_requirements

__all__ = ["GRAPH", "graph_needs", "lacking", "lane_title"]

GRAPH = "graph"  # stands where a preset's id does
_LONGEST = 1500  # it is part of an index


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


def lacking(lane: Lane, presets: Mapping[str, Preset], can: Capabilities) -> tuple[Missing, ...] | None:
    """None where the preset is not known here."""
    if lane.preset == GRAPH:
        return _lacking_for_graph(json.loads(lane.models), can)
    preset = presets.get(lane.preset)
    if preset is None:
        return None
    return missing_requirements(preset, can.node_classes, can.models, chosen_models(lane.models))


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
