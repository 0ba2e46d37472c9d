"""Contradictions between a manifest and its graph are named on load."""

from typing import Any

import pytest

from shared.presets.binding import NodeRef, find_node
from shared.presets.consistency import check_consistency, contradictions
from shared.presets.errors import PresetError
from tests.shared.presets.samples import graph_of, manifest_of

PARAMETER = {"id": "softness", "type": "float", "label": "Softness", "default": 0.01}
TARGET = {"node": {"alias": "sl:photo"}, "input": "image"}


def test_a_sound_preset_has_none() -> None:
    assert list(contradictions(manifest_of(), graph_of())) == []
    check_consistency(manifest_of(), graph_of())


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"id": "Not Good"}, "id", "lower-case"),
        ({"version": "1.0"}, "version", "semantic"),
        ({"name": "Noir\u202eexe"}, "name", "Noir\\u202eexe"),
        ({"parameters": [{**PARAMETER, "help": "two\nlines\x1b"}]}, "parameters.softness.help", "be seen"),
        ({"translations": {"de": {"name": "\u2066x"}}}, "translations.de.name", "be seen"),
        ({"parameters": [PARAMETER, PARAMETER]}, "parameters", "twice"),
        ({"parameters": [{**PARAMETER, "type": "enum"}]}, "parameters.softness", "no choices"),
        ({"parameters": [{**PARAMETER, "max": 0.001}]}, "parameters.softness.default", "at 0.001 or below"),
        ({"bindings": []}, "parameters.softness", "bound to nothing"),
        ({"bindings": [{"parameter": "loud"}]}, "bindings[0] (loud)", "no parameter: loud"),
        (
            {"outputs": [{"id": "p", "label": "P", "node": {"alias": "sl:nowhere"}}]},
            "outputs.p",
            "does not have",
        ),
        ({"fits": [{"input": "video"}]}, "fits[0]", "no input: video"),
        (
            {"inputs": [{"id": "m", "label": "M", "targets": [TARGET], "pair_by": "*"}]},
            "inputs.m.pair_by",
            "such as *_mask",
        ),
        ({"crops": [{"input": "photo"}]}, "crops[0]", "aspect"),
        ({"requires": {"nodes": []}}, "requires.nodes", "does not list ImageBlur"),
        (
            {
                "requires": {
                    "nodes": [{"class_type": name} for name in ("ImageBlur", "LoadImage", "SaveImage", "X")]
                }
            },
            "requires.nodes",
            "lists X",
        ),
        (
            {"value_sets": [{"id": "s", "label": "S", "values": {"loud": 1}}]},
            "value_sets.s",
            "no parameter: loud",
        ),
        (
            {"value_sets": [{"id": "s", "label": "S", "values": {"softness": 9}}]},
            "value_sets.s.softness",
            "between 0 and 0.1",
        ),
        ({"samples": [{"id": "s", "inputs": {"film": "x"}, "expect": {}}]}, "samples.s", "film"),
        (
            {"translations": {"de": {"parameters.loud.label": "Laut"}}},
            "translations.de",
            "parameters.loud.label",
        ),
        (
            {
                "inputs": [
                    {"id": name, "label": name, "primary": True, "targets": [TARGET]}
                    for name in ("photo", "b")
                ]
            },
            "inputs",
            "several inputs as primary",
        ),
    ],
)
def test_contradictions_name_the_field(changes: dict[str, Any], field: str, says: str) -> None:
    problems = list(contradictions(manifest_of(**changes), graph_of()))
    found = [problem for problem in problems if problem.details["field"] == field]
    assert found, [problem.message for problem in problems]
    assert says in found[0].message
    with pytest.raises(PresetError):
        check_consistency(manifest_of(**changes), graph_of())


def test_nodes_are_found_by_alias_then_id_then_class_and_title() -> None:
    graph = graph_of()
    assert find_node(graph, NodeRef(alias="sl:photo", id="3", class_type="SaveImage"), field="f") == "1"
    assert find_node(graph, NodeRef(id="2", class_type="ImageBlur"), field="f") == "2"
    assert find_node(graph, NodeRef(class_type="ImageBlur", title="Blur"), field="f") == "2"


@pytest.mark.parametrize(
    "ref",
    [
        NodeRef(alias="sl:elsewhere"),
        NodeRef(id="2", class_type="ImageSharpen"),
        NodeRef(id="9", class_type="ImageBlur"),
        NodeRef(class_type="ImageBlur", title="blur"),
        NodeRef(class_type="ImageBlur"),
    ],
)
def test_a_node_that_is_not_there_is_named(ref: NodeRef) -> None:
    with pytest.raises(PresetError) as caught:
        find_node(graph_of(), ref, field="bindings[0]")
    assert caught.value.details == {"field": "bindings[0]", "node": str(ref)}


def test_two_nodes_of_one_name_are_no_answer() -> None:
    graph = graph_of(**{"9": {"class_type": "ImageBlur", "inputs": {}, "_meta": {"title": "Blur"}}})
    with pytest.raises(PresetError, match="nodes 2, 9 answer"):
        find_node(graph, NodeRef(class_type="ImageBlur", title="Blur"), field="f")
