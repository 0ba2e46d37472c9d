"""Works for the built-in engine with known behaviour."""

from pathlib import Path

from PIL import Image

from shared.comfy.graph import parse_graph
from shared.engines.base import GraphInput, GraphWork, InputFile
from shared.errors import JsonValue
from shared.files import digest_file

__all__ = ["failing_work", "graph_work", "input_file", "node", "quick_work", "refused_work", "slow_work"]


def input_file(path: Path) -> InputFile:
    return InputFile(path=path, digest=digest_file(path), name=path.name)


def graph_work(job_id: str, graph: JsonValue, inputs: tuple[GraphInput, ...] = ()) -> GraphWork:
    return GraphWork(job_id=job_id, graph=parse_graph(graph), inputs=inputs)


def node(class_type: str, **inputs: JsonValue) -> JsonValue:
    return {"class_type": class_type, "inputs": inputs}


def quick_work(job_id: str, folder: Path) -> GraphWork:
    """Two pictures by node 4, one by node 5, one temporary and one text."""
    path = folder / "quick input.png"
    if not path.exists():
        Image.linear_gradient("L").convert("RGB").resize((37, 23)).save(path)
    graph = {
        "1": node("LoadImage", image="whatever.png"),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="both"),
        "5": node("SaveImage", images=["2", 0], filename_prefix="sub/one"),
        "6": node("PreviewImage", images=["1", 0]),
        "7": node("PreviewAny", source="said"),
    }
    return graph_work(job_id, graph, (GraphInput("1", "image", input_file(path)),))


def slow_work(job_id: str) -> GraphWork:
    """Some hundred blurs of a tenth of a second each."""
    graph: dict[str, JsonValue] = {
        "0": node("EmptyImage", width=1500, height=1500, batch_size=1, color=0x336699)
    }
    for number in range(1, 400):
        graph[str(number)] = node("ImageBlur", image=[str(number - 1), 0], blur_radius=31, sigma=3.0)
    graph["save"] = node("SaveImage", images=["399", 0], filename_prefix="slow")
    return graph_work(job_id, graph)


def failing_work(job_id: str) -> GraphWork:
    graph = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
        "2": node("ImageToMask", image=["1", 0], channel="alpha"),
        "3": node("MaskPreview", mask=["2", 0]),
    }
    return graph_work(job_id, graph)


def refused_work(job_id: str) -> tuple[GraphWork, str, str]:
    graph = {
        "1": node("EmptyImage", width=0, height=8, batch_size=1, color=0),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    return graph_work(job_id, graph), "1", "width"
