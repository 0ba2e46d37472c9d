"""The shipped presets on a real ComfyUI, beside the built-in engine."""

import contextlib
import io
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.comfy.client import ComfyClient
from shared.engines.base import InputFile, PresetWork, WorkRefused
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.engines.comfy import ComfyEngine
from shared.engines.single_run import run_once
from shared.errors import JsonValue
from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.events import Completed, Preview, Progress
from shared.presets.bundle import load_preset, preset_folders, sample_photos_folder, shipped_presets_folder
from shared.presets.values import resolve_values
from tests.support.beside_comfyui import Server

PRESETS = {folder.name: load_preset(folder) for folder in preset_folders(shipped_presets_folder())}
INSTANT = sorted(name for name, preset in PRESETS.items() if preset.manifest.instant(NODE_CLASSES))

pytestmark = [
    pytest.mark.real_comfyui,
    pytest.mark.skipif("COMFYUI_URL" not in os.environ, reason="needs COMFYUI_URL, a real server"),
]


@pytest.fixture
async def comfy(tmp_path: Path) -> AsyncIterator[ComfyEngine]:
    client = ComfyClient(os.environ["COMFYUI_URL"])
    engine = ComfyEngine(client=client, spool_folder=tmp_path / "spool")
    yield engine
    await engine.aclose()
    await client.aclose()


@pytest.fixture
async def builtin(tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    pool = ProcessPool(size=1)
    engine = BuiltinEngine(state_folder=tmp_path / "builtin", pool=pool)
    yield engine
    await engine.aclose()
    await pool.aclose()


def work(preset_id: str, photo: Path, values: Mapping[str, JsonValue]) -> PresetWork:
    preset = PRESETS[preset_id]
    return PresetWork(
        job_id=new_id(),
        preset=preset,
        values=resolve_values(preset.manifest, values),
        inputs={"photo": (InputFile(photo, digest_file(photo), photo.name),)},
    )


@pytest.fixture
def cut_out(tmp_path: Path) -> Path:
    """A photograph with a transparent corner, of a size of its own."""
    with Image.open(sample_photos_folder() / "product.jpg") as opened:
        picture = opened.convert("RGBA").resize((301, 200))
    picture.paste((0, 0, 0, 0), (0, 0, 90, 60))
    picture.save(tmp_path / "cut-out.png")
    return tmp_path / "cut-out.png"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Without loss, since newer servers decode JPEG otherwise."""
    with Image.open(sample_photos_folder() / "cat.jpg") as opened:
        opened.save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


@pytest.mark.parametrize("preset_id", INSTANT)
async def test_both_engines_make_the_same_picture(
    comfy: ComfyEngine, builtin: BuiltinEngine, preset_id: str, photo: Path, cut_out: Path
) -> None:
    with contextlib.closing(Server(os.environ["COMFYUI_URL"])) as server:
        most = 2 if server.is_as_recorded else 8  # for the newer FeatherMask
    cases: list[tuple[Path, Mapping[str, JsonValue]]] = [(photo, {})]
    cases += [(cut_out, item.values) for item in PRESETS[preset_id].manifest.value_sets]
    for path, values in cases:
        (theirs,) = await run_once(comfy, work(preset_id, path, values))
        (ours,) = await run_once(builtin, work(preset_id, path, values))
        with Image.open(io.BytesIO(theirs.data)) as one, Image.open(io.BytesIO(ours.data)) as other:
            assert (one.mode, one.size) == (other.mode, other.size)
            difference = np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16))
        assert difference.max() <= most
        assert (difference > most - 1).mean() <= 0.001


async def test_portrait_pro_shows_steps_and_previews(comfy: ComfyEngine) -> None:
    checkpoints = (await comfy.capabilities()).models["checkpoints"]
    values = {"model": checkpoints[0], "steps": 3, "size": 256, "strength": 0.5}
    ticket = await comfy.prepare(work("portrait-pro", sample_photos_folder() / "portrait.jpg", values))
    await comfy.start(ticket)
    events = [event async for event in comfy.follow(ticket)]
    end = events[-1]
    assert isinstance(end, Completed)
    assert (end.outputs[0].width, end.outputs[0].height) == (512, 512)
    assert {event.step for event in events if isinstance(event, Progress) and event.steps} >= {2, 3}
    assert any(isinstance(event, Preview) for event in events)
    await comfy.forget(ticket)


async def test_portrait_pro_names_a_checkpoint_that_is_missing(comfy: ComfyEngine) -> None:
    values: Mapping[str, JsonValue] = {"model": "not-there.safetensors"}
    with pytest.raises(WorkRefused, match=r"not-there\.safetensors"):
        await comfy.prepare(work("portrait-pro", sample_photos_folder() / "portrait.jpg", values))
