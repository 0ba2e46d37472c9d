"""What a real server refuses or fails at, and what it lets pass, the built-in engine does too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.comfy.graph import GraphError
from shared.engines.base import WorkRefused
from shared.engines.builtin.executor import RunFailed
from tests.support.beside_comfyui import BESIDE_COMFYUI, GraphJson, Server, assert_same, node, ours

pytestmark = BESIDE_COMFYUI

EMPTY = node("EmptyImage", width=8, height=8, batch_size=1, color=0)
SAVE = node("SaveImage", images=["1", 0], filename_prefix="compare/bad")


def empty(**inputs: Any) -> dict[str, Any]:
    return node("EmptyImage", **{**EMPTY["inputs"], **inputs})


def save(link: list[Any]) -> dict[str, Any]:
    return node("SaveImage", images=link, filename_prefix="compare/bad")


BAD_GRAPHS: dict[str, GraphJson] = {
    "empty": {},
    "no output": {"1": EMPTY},
    "unknown class": {"1": EMPTY, "2": SAVE, "3": node("NoSuchNode")},
    "input missing": {"1": node("EmptyImage", width=8), "2": SAVE},
    "link to nowhere": {"1": node("ImageInvert", image=["99", 0]), "2": SAVE},
    "slot too high": {"1": EMPTY, "2": save(["1", 1])},
    "link by number": {"1": EMPTY, "2": save([1, 0])},
    "circle": {"1": node("ImageInvert", image=["3", 0]), "3": node("ImageInvert", image=["1", 0]), "2": SAVE},
    "list for a number": {"1": empty(width=[1, 2, 3]), "2": SAVE},
    "text for a number": {"1": empty(width="wide"), "2": SAVE},
    "null for a number": {"1": empty(width=None), "2": SAVE},
    "too small": {"1": empty(width=0), "2": SAVE},
    "mask for picture": {"1": node("SolidMask", value=1, width=8, height=8), "2": SAVE},
    "picture for number": {"1": empty(width=["4", 0]), "4": EMPTY, "2": SAVE},
    "unknown choice": {"4": EMPTY, "1": node("ImageFlip", image=["4", 0], flip_method="z"), "2": SAVE},
    "file missing": {"1": node("LoadImage", image="no such file.png"), "2": SAVE},
    "bad node behind good": {
        "1": EMPTY, "2": SAVE, "3": node("ImageInvert", image=["5", 0]), "5": node("EmptyImage"),
        "6": node("PreviewImage", images=["3", 0]),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_GRAPHS)
def test_bad_graphs_are_refused_by_both(
    name: str, pictures: Mapping[str, Path], server: Server, tmp_path: Path
) -> None:
    graph = BAD_GRAPHS[name]
    answer = server.submit(graph)
    body = answer.json()

    with pytest.raises((WorkRefused, GraphError)) as caught:
        ours(graph, pictures, tmp_path)
    assert answer.status_code == 400 or body["node_errors"]
    if body["node_errors"]:
        assert caught.value.details["node"] in _named(body, graph)


def _named(body: dict[str, Any], graph: GraphJson) -> set[str]:
    """The nodes that the server's answer names, and the takers of links that lead nowhere."""
    faulty = set(body["node_errors"])
    takers = {
        name
        for name, item in graph.items()
        for value in item["inputs"].values()
        if isinstance(value, list) and value and str(value[0]) in faulty
    }
    return faulty | takers


FINE_GRAPHS: dict[str, GraphJson] = {
    "number as text": {"1": empty(width="24"), "2": SAVE},
    "fraction for a number": {"1": empty(width=9.9), "2": SAVE},
    "truth for a number": {"1": empty(width=True), "2": SAVE},
    "unknown input": {"1": empty(nonce=[1, 2, 3]), "2": SAVE},
    "negative slot": {"1": EMPTY, "2": save(["1", -1])},
    "bad node that nothing needs": {"1": EMPTY, "2": SAVE, "3": node("ImageInvert")},
    "wrapped value": {"1": empty(width={"__value__": 12}), "2": SAVE},
    "long chain": {
        "1": EMPTY,
        **{f"n{at}": node("ImageInvert", image=[f"n{at - 1}" if at else "1", 0]) for at in range(300)},
        "2": node("SaveImage", images=["n299", 0], filename_prefix="compare/long"),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FINE_GRAPHS)
def test_odd_graphs_run_on_both(
    name: str, pictures: Mapping[str, Path], server: Server, tmp_path: Path
) -> None:
    assert_same(FINE_GRAPHS[name], pictures, server, tmp_path)


FAILING = {
    "blur wider than the picture": ("ImageBlur", {"blur_radius": 8, "sigma": 1.0}),
    "scaled to nothing": ("ImageScaleBy", {"upscale_method": "area", "scale_by": 0.01}),
    "unknown way to blend": ("ImageBlend", {"image2": ["1", 0], "blend_factor": 0.5, "blend_mode": "burn"}),
    "unknown way to dither": ("ImageQuantize", {"colors": 8, "dither": "riemersma"}),
}


@pytest.mark.parametrize("name", FAILING)
def test_runs_fail_at_the_same_node(
    name: str, pictures: Mapping[str, Path], server: Server, tmp_path: Path
) -> None:
    class_type, inputs = FAILING[name]
    graph = {
        "1": EMPTY,
        "x": node(class_type, **{"image1" if class_type == "ImageBlend" else "image": ["1", 0]}, **inputs),
        "2": node("SaveImage", images=["x", 0], filename_prefix="compare/failing"),
    }

    with pytest.raises(RunFailed) as caught:
        ours(graph, pictures, tmp_path)
    assert server.faulty_nodes(graph) == [caught.value.details["node"]]
