import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.comfy.convert import convert_workflow
from shared.comfy.editor import is_editor_format
from shared.comfy.graph import GraphError
from shared.comfy.node_catalog import NodeCatalogue, parse_catalogue

RECORDED = Path(__file__).parents[2] / "data" / "comfyui" / "object_info.json"


@pytest.fixture(scope="module")
def catalogue() -> NodeCatalogue:
    return parse_catalogue(json.loads(RECORDED.read_text()))


class Workflow:
    """A workflow as the editor writes it, built link by link."""

    def __init__(self) -> None:
        self.nodes: list[dict] = []
        self.links: list[list] = []

    def node(
        self, node_id: int, kind: str, *values: object, mode: int = 0, **links: tuple[int, int, str]
    ) -> int:
        inputs = []
        for at, (name, (origin, slot, type_name)) in enumerate(links.items()):
            number = len(self.links) + 1
            self.links.append([number, origin, slot, node_id, at, type_name])
            inputs.append({"name": name, "type": type_name, "link": number})
        entry = {"id": node_id, "type": kind, "mode": mode, "inputs": inputs, "widgets_values": list(values)}
        self.nodes.append(entry)

    def converted(self, catalogue: NodeCatalogue, **more: object) -> dict:
        data = {"nodes": self.nodes, "links": self.links, "version": 0.4, **more}
        return inputs_of(convert_workflow(data, catalogue, choose=first).to_json())


def first(options: Sequence[str]) -> str:
    return options[0]


def inputs_of(graph: dict) -> dict:
    return {node_id: (node["class_type"], node["inputs"]) for node_id, node in graph.items()}


def test_values_find_their_inputs_past_what_only_the_editor_has(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "LoadImageMask", "photo.png", "red", "image")
    flow.node(2, "KSampler", 7, "randomize", 20, 8.0, "euler", "normal", 0.6, model=(9, 0, "MODEL"))

    assert flow.converted(catalogue) == {
        "1": ("LoadImageMask", {"image": "photo.png", "channel": "red"}),
        "2": (
            "KSampler",
            {
                "seed": 7,
                "steps": 20,
                "cfg": 8.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 0.6,
            },
        ),
    }


def test_old_files_and_missing_values(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(2, "KSampler", 7, True, 20)

    inputs = flow.converted(catalogue)["2"][1]
    assert (inputs["seed"], inputs["steps"], inputs["cfg"], inputs["sampler_name"]) == (7, 20, 8.0, "euler")


def test_values_by_name(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "ImageScale")
    flow.nodes[0]["widgets_values"] = {"width": 64, "height": 32, "videopreview": {"hidden": True}}

    assert flow.converted(catalogue) == {"1": ("ImageScale", {"width": 64, "height": 32})}


def test_links_pass_through_reroutes_and_bypassed_nodes(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "LoadImage", "a.png", "image")
    flow.node(2, "Reroute", **{"": (1, 0, "IMAGE")})
    flow.node(3, "ImageInvert", mode=4, image=(2, 0, "IMAGE"))
    flow.nodes[-1]["outputs"] = [{"name": "IMAGE", "type": "IMAGE"}]
    flow.node(4, "SaveImage", "x", images=(3, 0, "IMAGE"))
    flow.node(5, "Note", "remember the milk")

    assert flow.converted(catalogue) == {
        "1": ("LoadImage", {"image": "a.png"}),
        "4": ("SaveImage", {"images": ["1", 0], "filename_prefix": "x"}),
    }


def test_a_bypass_takes_the_input_of_the_wanted_type(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "LoadImage", "a.png", "image")
    flow.node(2, "LoadImage", "b.png", "image")
    flow.node(3, "JoinImageWithAlpha", mode=4, alpha=(1, 1, "MASK"), image=(2, 0, "IMAGE"))
    flow.nodes[-1]["outputs"] = [{"name": "IMAGE", "type": "IMAGE"}]
    flow.node(4, "SaveImage", "x", images=(3, 0, "IMAGE"))

    assert flow.converted(catalogue)["4"][1]["images"] == ["2", 0]


def test_muted_nodes_and_links_to_them_fall_away(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "LoadImage", "a.png", "image", mode=2)
    flow.node(2, "ImageInvert", image=(1, 0, "IMAGE"))

    assert flow.converted(catalogue) == {"2": ("ImageInvert", {})}


def test_primitives_give_their_value(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "PrimitiveNode", 640, "fixed")
    flow.node(2, "EmptyImage", 512, 256, 1, 0, width=(1, 0, "INT"))
    flow.nodes[-1]["inputs"][0]["widget"] = {"name": "width"}

    assert flow.converted(catalogue)["2"][1] == {"width": 640, "height": 256, "batch_size": 1, "color": 0}


def test_a_link_replaces_the_field_it_is_attached_to(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "PrimitiveInt", 640, "fixed")
    flow.node(2, "EmptyImage", 512, 256, 1, 0, width=(1, 0, "INT"))

    assert flow.converted(catalogue)["2"][1]["width"] == ["1", 0]


def test_lists_are_wrapped_so_that_they_are_no_links(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "PrimitiveString", ["a", 0])

    assert flow.converted(catalogue)["1"][1] == {"value": {"__value__": ["a", 0]}}


def test_dynamic_prompts_are_resolved(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "CLIPTextEncode", "a {red|{dark|light} blue} \\{hat\\} // to do\n/* no */end")

    assert flow.converted(catalogue)["1"][1] == {"text": "a red {hat} \nend"}


def subgraph() -> dict:
    """Image in, inverted image out."""
    return {
        "id": "f00d",
        "nodes": [
            {"id": 3, "type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 1}]}
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 0, "type": "IMAGE"},
            {"id": 2, "origin_id": 3, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
        ],
    }


def test_subgraphs_are_unfolded(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "LoadImage", "a.png", "image")
    flow.node(7, "f00d", image=(1, 0, "IMAGE"))
    flow.node(8, "f00d", image=(7, 0, "IMAGE"))
    flow.node(9, "SaveImage", "x", images=(8, 0, "IMAGE"))

    assert flow.converted(catalogue, definitions={"subgraphs": [subgraph()]}) == {
        "1": ("LoadImage", {"image": "a.png"}),
        "7:3": ("ImageInvert", {"image": ["1", 0]}),
        "8:3": ("ImageInvert", {"image": ["7:3", 0]}),
        "9": ("SaveImage", {"images": ["8:3", 0], "filename_prefix": "x"}),
    }


def test_a_subgraph_within_itself_is_refused(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(7, "f00d")
    endless = subgraph()
    endless["nodes"].append({"id": 4, "type": "f00d"})

    with pytest.raises(GraphError, match="contains itself"):
        flow.converted(catalogue, definitions={"subgraphs": [endless]})


def test_a_circle_of_reroutes_is_refused(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(1, "Reroute", **{"": (2, 0, "IMAGE")})
    flow.node(2, "Reroute", **{"": (1, 0, "IMAGE")})
    flow.node(3, "SaveImage", "x", images=(1, 0, "IMAGE"))

    with pytest.raises(GraphError, match="circle"):
        flow.converted(catalogue)


def test_a_class_that_is_not_known_is_named(catalogue: NodeCatalogue) -> None:
    flow = Workflow()
    flow.node(4, "FancyUpscaler", 2)

    with pytest.raises(GraphError, match="node 4: the class FancyUpscaler") as caught:
        flow.converted(catalogue)
    assert caught.value.details == {"node": "4"}


@pytest.mark.parametrize("links", [[[1, 2]], [{"id": 1}], [None]])
def test_broken_links_are_refused(catalogue: NodeCatalogue, links: list) -> None:
    with pytest.raises(GraphError):
        convert_workflow({"nodes": [], "links": links}, catalogue, choose=first)


def test_the_formats_are_told_apart() -> None:
    assert is_editor_format({"nodes": [], "links": []})
    assert not is_editor_format({"1": {"class_type": "LoadImage"}})
    assert not is_editor_format([])
