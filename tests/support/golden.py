"""Recorded results of a real ComfyUI: graphs, their inputs, and what the server made of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.comfy.graph import Graph, parse_graph

__all__ = ["GOLDEN", "GoldenCase", "golden_cases", "golden_files"]

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "comfyui" / "golden"


@dataclass(frozen=True)
class GoldenCase:
    """`result` is ok, failed or refused; `error` holds what the server said then."""

    name: str
    result: str
    compare: str | None
    graph: Graph
    outputs: list[dict[str, Any]]
    texts: dict[str, list[str]]
    progress_texts: dict[str, str]
    error: dict[str, Any]

    def path(self, file: str) -> Path:
        return GOLDEN / self.name / file


def golden_cases() -> list[GoldenCase]:
    index = json.loads((GOLDEN / "index.json").read_text())
    return [_case(name, entry) for name, entry in index["cases"].items()]


def golden_files(graph: Graph) -> Mapping[tuple[str, str], Path]:
    """Where the pictures lie that the graph's loaders name."""
    return {
        (name, "image"): path
        for name, node in graph.nodes.items()
        if node.class_type in {"LoadImage", "LoadImageMask"}
        and (path := GOLDEN / "inputs" / str(node.inputs["image"])).is_file()
    }


def _case(name: str, entry: dict[str, Any]) -> GoldenCase:
    folder = GOLDEN / name
    error = json.loads((folder / "error.json").read_text()) if "error" in entry else {}
    return GoldenCase(
        name=name,
        result=entry["result"],
        compare=entry.get("compare"),
        graph=parse_graph(json.loads((folder / "workflow.json").read_text())),
        outputs=entry["outputs"],
        texts={text["node"]: text["ui"] for text in entry.get("ui_text", [])},
        progress_texts={text["node"]: text["text"] for text in entry.get("progress_text", [])},
        error=error,
    )
