"""The built-in engine and a real ComfyUI side by side: the same graph on the same pictures."""

import io
import os
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from shared.comfy.graph import parse_graph
from shared.engines.builtin.executor import Surroundings, execute
from shared.engines.builtin.node_run import SavedFile
from shared.engines.builtin.validation import checked_graph
from shared.jobs.events import OutputKind

__all__ = ["BESIDE_COMFYUI", "GraphJson", "Server", "assert_same", "node", "ours", "saved_by_us"]

BESIDE_COMFYUI = [
    pytest.mark.real_comfyui,
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.skipif("COMFYUI_URL" not in os.environ, reason="needs COMFYUI_URL, a real server"),
]
GraphJson = dict[str, Any]
BOUND_S = 60.0
_LAST_SEEN_AS_RECORDED = (0, 12, 2)


class Server:
    """As much of a client as the comparison needs."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    @cached_property
    def version(self) -> tuple[int, ...]:
        facts = self._http.get("/system_stats").raise_for_status().json()
        return tuple(int(part) for part in facts["system"]["comfyui_version"].split("."))

    @property
    def is_as_recorded(self) -> bool:
        """Later servers decode pictures as videos (other JPEG colours, 16 bits kept, other frames), and
        their FeatherMask leaves the far edge alone."""
        return self.version <= _LAST_SEEN_AS_RECORDED

    def upload(self, path: Path) -> str:
        files = {"image": (f"{uuid.uuid4().hex}{path.suffix}", path.read_bytes())}
        return self._http.post("/upload/image", files=files).raise_for_status().json()["name"]

    def submit(self, graph: GraphJson) -> httpx.Response:
        """With a client id, without which newer servers leave cached outputs out of the history."""
        body = {"prompt": graph, "prompt_id": str(uuid.uuid4()), "client_id": "compare"}
        return self._http.post("/prompt", json=body)

    def faulty_nodes(self, graph: GraphJson) -> list[str]:
        """Where the graph fails: while it runs, or on newer servers at once (choices of type COMBO)."""
        answer = self.submit(graph)
        if answer.status_code == 400:
            return list(answer.json()["node_errors"])
        messages = self.result(answer.json()["prompt_id"])["status"]["messages"]
        return [data["node_id"] for event, data in messages if event == "execution_error"]

    def result(self, prompt_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + BOUND_S
        while time.monotonic() < deadline:
            history = self._http.get(f"/history/{prompt_id}").raise_for_status().json()
            if prompt_id in history:
                return history[prompt_id]
            time.sleep(0.02)
        raise AssertionError("the server did not finish")

    def view(self, item: Mapping[str, str]) -> bytes:
        names = {"filename": item["filename"], "subfolder": item["subfolder"], "type": item["type"]}
        return self._http.get("/view", params=names).raise_for_status().content

    def close(self) -> None:
        self._http.close()


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def saved_by_us(graph: GraphJson, pictures: Mapping[str, Path], folder: Path) -> list[SavedFile]:
    files = {
        (name, "image"): pictures[item["inputs"]["image"]]
        for name, item in graph.items()
        if item["class_type"].startswith("LoadImage") and item["inputs"].get("image") in pictures
    }
    around = Surroundings(
        files=files,
        folder=folder,
        now=datetime.now(UTC),
        on_progress=lambda _: None,
        on_text=lambda _node, _text: None,
        pause=lambda: None,
    )
    return execute(checked_graph(parse_graph(graph), files.keys()), around)


def ours(graph: GraphJson, pictures: Mapping[str, Path], folder: Path) -> dict[str, list[Image.Image]]:
    results: dict[str, list[Image.Image]] = {}
    for file in saved_by_us(graph, pictures, folder):
        if file.kind is not OutputKind.TEXT:
            results.setdefault(file.node, []).append(Image.open(file.path))
    return results


def sent(graph: GraphJson, pictures: Mapping[str, Path], server: Server) -> httpx.Response:
    known = {name: server.upload(path) for name, path in pictures.items() if name in str(graph)}
    renamed = {
        name: {**item, "inputs": {**item["inputs"], "image": known[item["inputs"]["image"]]}}
        if item["class_type"].startswith("LoadImage") and item["inputs"].get("image") in known
        else item
        for name, item in graph.items()
    }
    return server.submit(renamed)


def theirs(graph: GraphJson, pictures: Mapping[str, Path], server: Server) -> dict[str, list[Image.Image]]:
    answer = sent(graph, pictures, server)
    assert answer.status_code == 200, answer.text
    result = server.result(answer.json()["prompt_id"])
    assert result["status"]["status_str"] == "success", result["status"]["messages"][-1]
    return {
        name: [Image.open(io.BytesIO(server.view(item))) for item in output["images"]]
        for name, output in result["outputs"].items()
        if "images" in output
    }


def assert_same(graph: GraphJson, pictures: Mapping[str, Path], server: Server, folder: Path) -> None:
    """At most one level per value, or two in at most a thousandth of them."""
    mine, expected = ours(graph, pictures, folder), theirs(graph, pictures, server)
    assert mine.keys() == expected.keys()
    for name, images in expected.items():
        assert len(mine[name]) == len(images)
        for image, wanted in zip(mine[name], images, strict=True):
            assert (image.mode, image.size) == (wanted.mode, wanted.size)
            difference = np.abs(np.asarray(image).astype(int) - np.asarray(wanted).astype(int))
            assert difference.max() <= 2, f"{name}: {difference.max()} levels apart"
            assert (difference > 1).mean() <= 0.001, f"{name}: {(difference > 1).mean():.2%} two levels apart"
