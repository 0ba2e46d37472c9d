"""Raw graphs: what is let in, and what is made of it."""

from collections.abc import Mapping
from typing import Any

import pytest

from cloud.errors import InvalidRequest
from cloud.repositories.lanes import Lane
from cloud.services.graph_policy import DEFAULT_CLASSES, GraphLimits, admitted
from cloud.services.lane_needs import GRAPH, graph_needs, lacking
from shared.comfy.graph import GraphError
from shared.engines.base import Capabilities

LIMITS = GraphLimits(nodes=50, depth=10, links=100, bytes=20_000)
LOAD = {"class_type": "LoadImage", "inputs": {"image": "whatever.png"}}
SAVE = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../../etc/x"}}
INVERT = {"1": LOAD, "2": SAVE}


def changed(node: str, **inputs: Any) -> dict[str, Any]:
    graph = diffusion()
    graph[node] = {**graph[node], "inputs": {**graph[node]["inputs"], **inputs}}
    return graph


def diffusion() -> dict[str, Any]:
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl/base.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a/b ../ [input]", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["2", 0],
                "latent_image": ["3", 0],
            },
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}},
    }


def test_names_of_outputs_and_files_are_ours() -> None:
    graph = admitted(INVERT, ["1.image"], LIMITS).graph.to_json()
    assert graph == {
        "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "safelight"}},
    }


def test_equal_graphs_have_one_digest_whatever_they_were_called() -> None:
    other = {"2": {**SAVE, "_meta": {"title": "Save"}}, "1": LOAD}
    assert admitted(INVERT, ["1.image"], LIMITS).digest == admitted(other, ["1.image"], LIMITS).digest
    assert admitted(diffusion(), [], LIMITS).digest != admitted(changed("3", width=128), [], LIMITS).digest


@pytest.mark.parametrize(
    ("graph", "given", "said"),
    [
        ({}, [], "no nodes"),
        ({"1": {"inputs": {}}}, [], "no class_type"),
        ({**INVERT, "3": {"class_type": "ExecuteShell", "inputs": {}}}, ["1.image"], "ExecuteShell may not"),
        ({**INVERT, "3": {"class_type": "RegexMatch", "inputs": {}}}, ["1.image"], "RegexMatch may not"),
        (INVERT, [], "1.image loads a file"),
        (INVERT, ["1.image", "9.image"], "no file at 9.image"),
        ({"1": LOAD}, ["1.image"], "saves nothing"),
        (changed("6", images=["9", 0]), [], "linked to nothing"),
        (changed("6", images=["5", -1]), [], "linked to nothing"),
        (changed("6", images=[5, 0]), [], "linked to nothing"),
        (changed("2", clip=["5", 0]), [], "needs itself"),
        (changed("1", ckpt_name="../../etc/passwd"), [], "names a place"),
        (changed("1", ckpt_name="/etc/passwd.bin"), [], "names a place"),
        (changed("1", ckpt_name="a/./b.safetensors"), [], "plain name"),
        (changed("1", ckpt_name="a\\b.safetensors"), [], "plain name"),
        (changed("1", ckpt_name=["3", 0]), [], "plain name"),
        (changed("1", ckpt_name="no suffix"), [], "plain name"),
        (changed("3", width="a.png [output]"), [], "names a place"),
        (changed("3", width={"a": 1}), [], "one value or a link"),
        (changed("2", text="x" * 30_000), [], "larger than"),
        ({str(n): LOAD for n in range(51)}, [], "51 nodes"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(graph: Any, given: list[str], said: str) -> None:
    with pytest.raises((InvalidRequest, GraphError), match=said):
        admitted(graph, given, LIMITS)


def test_depth_and_links_are_bounded() -> None:
    chain: dict[str, Any] = {"0": {"class_type": "EmptyImage", "inputs": {}}}
    for number in range(1, 12):
        chain[str(number)] = {"class_type": "ImageInvert", "inputs": {"image": [str(number - 1), 0]}}
    chain["12"] = {"class_type": "SaveImage", "inputs": {"images": ["11", 0]}}
    with pytest.raises(InvalidRequest, match="stands behind 13 others"):
        admitted(chain, [], LIMITS)
    with pytest.raises(InvalidRequest, match="12 links"):
        admitted(chain, [], GraphLimits(links=11))


def test_shell_like_classes_are_not_among_the_usual_ones() -> None:
    assert not {name for name in DEFAULT_CLASSES if name.startswith(("Regex", "Load3D", "Webcam"))}
    assert {"LoadImage", "KSampler", "SaveImage"} <= DEFAULT_CLASSES


@pytest.mark.parametrize(
    ("classes", "models", "lacks"),
    [
        (None, {"checkpoints": ("sdxl/base.safetensors",)}, []),
        (None, {"checkpoints": ("other.safetensors",)}, ["sdxl/base.safetensors"]),
        (frozenset({"KSampler"}), {}, None),
    ],
)
def test_what_a_server_lacks_for_a_graph(
    classes: frozenset[str] | None, models: Mapping[str, tuple[str, ...]], lacks: list[str] | None
) -> None:
    lane = Lane("comfy", 0, "a", GRAPH, graph_needs(admitted(diffusion(), [], LIMITS)))
    can = Capabilities(node_classes=classes, models=models)
    missing = lacking(lane, {}, can, {})
    assert missing is not None
    names = [item.name for item in missing]
    if lacks is None:
        assert names == [
            "CLIPTextEncode",
            "CheckpointLoaderSimple",
            "EmptyLatentImage",
            "SaveImage",
            "VAEDecode",
            "sdxl/base.safetensors",
        ]
    else:
        assert names == lacks


def test_graph_of_too_many_kinds_is_refused() -> None:
    graph = diffusion()
    for number in range(40):
        graph[f"m{number}"] = {
            "class_type": "VAELoader",
            "inputs": {"vae_name": f"{'v' * 60}{number}.safetensors"},
        }
    with pytest.raises(InvalidRequest, match="too many different"):
        graph_needs(admitted(graph, [], LIMITS))
