"""A small preset to change in tests: one photograph, one blur, one file."""

import json
from collections.abc import Mapping
from pathlib import Path

from shared.comfy.graph import Graph, parse_graph
from shared.errors import JsonValue
from shared.presets.bundle import Preset
from shared.presets.manifest import Manifest
from shared.presets.schema import parse_manifest

__all__ = ["FIRST_FORMAT", "GRAPH", "graph_of", "make_preset", "manifest_of", "write_bundle"]

FIRST_FORMAT = (Path(__file__).parents[2] / "data/presets/schema/1.json").read_text("utf-8")

GRAPH: Mapping[str, JsonValue] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}, "_meta": {"title": "sl:photo"}},
    "2": {
        "class_type": "ImageBlur",
        "inputs": {"image": ["1", 0], "blur_radius": 1, "sigma": 1.0},
        "_meta": {"title": "Blur"},
    },
    "3": {
        "class_type": "SaveImage",
        "inputs": {"images": ["2", 0], "filename_prefix": "safelight"},
        "_meta": {"title": "sl:save"},
    },
}


def manifest_of(**changes: JsonValue) -> Manifest:
    """The manifest with top-level fields replaced."""
    return parse_manifest(json.dumps({**json.loads(FIRST_FORMAT), **changes}))


def graph_of(**nodes: JsonValue) -> Graph:
    return parse_graph({**GRAPH, **nodes})


def make_preset(graph: Graph | None = None, **changes: JsonValue) -> Preset:
    return Preset(
        manifest=manifest_of(**changes), graph=graph or graph_of(), digest="0" * 64, folder=Path("nowhere")
    )


def write_bundle(folder: Path, **changes: JsonValue) -> Path:
    """The bundle as files, without looks, in a folder named after its id."""
    declared = {**json.loads(FIRST_FORMAT), **changes}
    bundle = folder / str(declared["id"])
    bundle.mkdir(parents=True)
    (bundle / "preset.json").write_text(json.dumps(declared), "utf-8")
    (bundle / "graph.json").write_text(json.dumps(GRAPH), "utf-8")
    return bundle
