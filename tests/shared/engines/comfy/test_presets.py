"""Presets on a ComfyUI: needs first, then files, then the graph for that very server."""

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.engines.base import InputFile, PresetWork, WorkRefused
from shared.engines.comfy import ComfyEngine
from shared.files import digest_file
from shared.ids import new_id
from shared.presets.bundle import load_preset, shipped_presets_folder
from shared.presets.values import resolve_values
from tests.shared.engines.comfy.rig import make_engine
from tests.support.comfy_server import ComfyServer, comfy_server


@pytest.fixture
async def server() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def engine(server: ComfyServer, tmp_path: Path) -> AsyncIterator[ComfyEngine]:
    engine = make_engine(server.url, tmp_path / "spool")
    yield engine
    await engine.aclose()


def portrait(folder: Path, **values: object) -> PresetWork:
    path = folder / "portrait"
    Image.new("RGB", (96, 64), "tan").save(path, "JPEG")
    preset = load_preset(shipped_presets_folder() / "portrait-pro")
    return PresetWork(
        job_id=new_id(),
        preset=preset,
        values=resolve_values(preset.manifest, values),
        inputs={"photo": (InputFile(path, digest_file(path), "me.jpg"),)},
    )


async def test_a_missing_checkpoint_is_named_and_nothing_is_sent(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    with pytest.raises(WorkRefused) as caught:
        await engine.prepare(portrait(tmp_path))

    assert "v1-5-pruned-emaonly.safetensors" in caught.value.message
    assert "models/checkpoints" in caught.value.message
    assert {request.method for request in server.requests} == {"GET"}


async def test_the_graph_names_the_uploaded_file_and_its_output(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    work = portrait(tmp_path, model="random_sd15_fp16.safetensors")

    ticket = await engine.prepare(work)

    graph = ticket.details["graph"]
    loaders = [node["inputs"] for node in graph.values() if node["class_type"] == "LoadImage"]
    assert loaders == [{"image": f"safelight/{work.inputs['photo'][0].digest}.jpg"}]
    assert [graph[node]["class_type"] for node in ticket.details["outputs"]] == ["SaveImage"]
    assert server.count("POST", "/upload/image") == 1
    assert server.count("POST", "/prompt") == 0


async def test_a_grey_of_sixteen_bits_goes_up_in_eight(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    work = portrait(tmp_path, model="random_sd15_fp16.safetensors")
    path = tmp_path / "deep.png"
    deep = np.linspace(0, 65535, 96 * 64).astype(np.uint16).reshape(64, 96)
    Image.fromarray(deep).save(path)
    work = replace(work, inputs={"photo": (InputFile(path, digest_file(path), "deep.png"),)})

    ticket = await engine.prepare(work)

    [loader] = [node for node in ticket.details["graph"].values() if node["class_type"] == "LoadImage"]
    sent = server.files["input", loader["inputs"]["image"]]
    with Image.open(io.BytesIO(sent)) as image:
        assert np.abs(np.asarray(image).astype(int) - np.rint(deep / 257)).max() <= 1


async def test_a_missing_node_class_is_named(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    del server.object_info["ImageBlend"]

    with pytest.raises(WorkRefused, match="ImageBlend"):
        await engine.prepare(portrait(tmp_path, model="random_sd15_fp16.safetensors"))


async def test_a_broken_photograph_names_its_field(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    work = portrait(tmp_path, model="random_sd15_fp16.safetensors")
    (tmp_path / "portrait").write_bytes(b"")

    with pytest.raises(WorkRefused) as caught:
        await engine.prepare(work)
    assert caught.value.details["field"] == "inputs.photo"
    assert "me.jpg is empty" in caught.value.message
