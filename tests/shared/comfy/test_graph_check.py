import json
from pathlib import Path

import pytest

from shared.comfy.graph import Graph, parse_graph
from shared.comfy.graph_check import check_graph, upstream_of
from shared.comfy.node_catalog import NodeCatalogue, parse_catalogue

RECORDED = Path(__file__).parents[2] / "data" / "comfyui" / "object_info.json"


@pytest.fixture(scope="module")
def catalogue() -> NodeCatalogue:
    return parse_catalogue(json.loads(RECORDED.read_text()))


def graph(**changes: dict) -> Graph:
    nodes = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "basic_rgb.png"}},
        "2": {
            "class_type": "ImageBlend",
            "inputs": {"image1": ["1", 0], "image2": ["1", 0], "blend_factor": 0.5, "blend_mode": "screen"},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    for node, inputs in changes.items():
        nodes[node.removeprefix("n")]["inputs"] |= inputs
    return parse_graph(nodes)


def test_a_good_graph_has_no_problems(catalogue: NodeCatalogue) -> None:
    assert check_graph(graph(), catalogue) == ()


def test_a_circle_is_a_problem_though_other_outputs_are_well(catalogue: NodeCatalogue) -> None:
    nodes = graph(n2={"image2": ["4", 0]}).to_json()
    nodes["4"] = {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}}
    nodes["5"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    (problem,) = check_graph(parse_graph(nodes), catalogue)

    assert (problem.kind, problem.node) == ("dependency_cycle", "2")
    assert problem.message == "node 2 (ImageBlend) depends on its own result: the links form a circle"


def test_a_circle_that_no_output_needs_is_none(catalogue: NodeCatalogue) -> None:
    nodes = graph().to_json()
    nodes["4"] = {"class_type": "ImageInvert", "inputs": {"image": ["4", 0]}}
    assert check_graph(parse_graph(nodes), catalogue) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "place"),
    [
        ({"n2": {"blend_mode": "explode"}}, "value_not_in_list", ("2", "blend_mode")),
        ({"n1": {"image": "gone.png"}}, "input_file_missing", ("1", "image")),
    ],
)
def test_choices_are_checked_in_both_forms(
    catalogue: NodeCatalogue, changes: dict, kind: str, place: tuple[str, str]
) -> None:
    (problem,) = check_graph(graph(**changes), catalogue)

    assert (problem.kind, (problem.node, problem.input)) == (kind, place)


def test_a_missing_model_is_named_with_what_there_is(catalogue: NodeCatalogue) -> None:
    nodes = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    }

    (problem,) = check_graph(parse_graph(nodes), catalogue)

    assert problem.kind == "model_missing"
    assert problem.message == (
        "node 4 (CheckpointLoaderSimple): the server has no model file dream.safetensors for ckpt_name; "
        "put it into ComfyUI's models folder; it has random_sd15_fp16.safetensors"
    )


def test_files_that_we_bring_or_that_lie_deeper_are_not_looked_up(catalogue: NodeCatalogue) -> None:
    assert check_graph(graph(n1={"image": "mine.png"}), catalogue, staged={("1", "image")}) == ()
    assert check_graph(graph(n1={"image": "sub/deep.png"}), catalogue) == ()
    assert check_graph(graph(n1={"image": "x.png [output]"}), catalogue) == ()


def test_a_missing_input_and_an_unknown_class_are_named(catalogue: NodeCatalogue) -> None:
    (missing,) = check_graph(
        parse_graph({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}), catalogue
    )
    (unknown,) = check_graph(parse_graph({"1": {"class_type": "NoSuchNode"}}), catalogue)

    assert (missing.kind, missing.input) == ("required_input_missing", "images")
    assert (unknown.kind, unknown.node) == ("unknown_class", "1")


def test_only_what_the_outputs_need_is_checked(catalogue: NodeCatalogue) -> None:
    nodes = graph().to_json() | {"8": {"class_type": "ImageInvert", "inputs": {}}}

    assert check_graph(parse_graph(nodes), catalogue) == ()


def test_a_graph_without_outputs_is_refused(catalogue: NodeCatalogue) -> None:
    (problem,) = check_graph(
        parse_graph({"1": {"class_type": "LoadImage", "inputs": {"image": "basic_rgb.png"}}}), catalogue
    )

    assert problem.kind == "no_outputs"


def test_upstream_ends_even_in_a_circle() -> None:
    circle = parse_graph(
        {
            "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        }
    )

    assert upstream_of(circle, ["1", "gone"]) == {"1", "2"}
