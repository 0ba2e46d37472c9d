"""The built-in engine keeps what every engine promises, and survives the death of its processes."""

import asyncio
import gc
import io
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.engines.base import (
    Engine,
    GraphInput,
    OutputRejected,
    PresetWork,
    RunLost,
    Ticket,
    Work,
    WorkRefused,
)
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.ids import new_id
from shared.jobs.events import Completed, Failed, OutputKind
from shared.media import MediaLimits
from shared.presets.bundle import load_preset, sample_photos_folder, shipped_presets_folder
from shared.presets.values import resolve_values
from tests.contract.engine_suite import EngineRig, EngineSuite, begin, end_of, run, until_running
from tests.support.builtin_works import (
    failing_work,
    graph_work,
    input_file,
    node,
    quick_work,
    refused_work,
    slow_work,
)
from tests.support.engine_children import engine_children

OUTPUT_LIMITS = MediaLimits(max_bytes=50_000_000, max_pixels=4_000_000, max_frames=100)


class BuiltinRig(EngineRig):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = ProcessPool(size=1, output_limits=OUTPUT_LIMITS)
        self._engines = [BuiltinEngine(state_folder=folder / "state", pool=self.pool)]

    @property
    def engine(self) -> Engine:
        return self._engines[0]

    async def another_process(self) -> Engine:
        self._engines.append(BuiltinEngine(state_folder=self.folder / "state", pool=self.pool))
        return self._engines[-1]

    def quick_work(self, job_id: str) -> Work:
        return quick_work(job_id, self.folder)

    def slow_work(self, job_id: str) -> Work:
        return slow_work(job_id)

    def failing_work(self, job_id: str) -> Work:
        return failing_work(job_id)

    def refused_work(self, job_id: str) -> tuple[Work, str, str]:
        return refused_work(job_id)

    async def runs(self, ticket: Ticket) -> int:
        events = self.run_folder(ticket) / "events.jsonl"
        lines = events.read_text().splitlines() if events.exists() else []
        return sum(json.loads(line)["event"] == "Started" for line in lines)

    async def lose(self, ticket: Ticket) -> None:
        await self.engine.aclose()

    async def bad_output_work(self, job_id: str) -> Work:
        graph = {
            "1": node("EmptyImage", width=3000, height=3000, batch_size=1, color=0),
            "2": node("SaveImage", images=["1", 0], filename_prefix="larger than the limit"),
        }
        return graph_work(job_id, graph)

    def run_folder(self, ticket: Ticket) -> Path:
        return self.folder / "state" / "runs" / ticket.run_id

    async def aclose(self) -> None:
        for engine in self._engines:
            await engine.aclose()
        await self.pool.aclose()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[BuiltinRig]:
    rig = BuiltinRig(tmp_path)
    yield rig
    await rig.aclose()


class TestBuiltinEngine(EngineSuite):
    """The promises of every engine."""


async def test_every_kind_of_result_is_listed_in_order(rig: BuiltinRig) -> None:
    _, events = await run(rig.engine, rig.quick_work(new_id()))

    end = events[-1]
    assert isinstance(end, Completed)
    listed = [(output.node, output.index, output.kind, output.name) for output in end.outputs]
    assert listed[:3] == [
        ("4", 0, OutputKind.IMAGE, "both_00001_.png"),
        ("4", 1, OutputKind.IMAGE, "both_00002_.png"),
        ("5", 0, OutputKind.IMAGE, "one_00001_.png"),
    ]
    assert [kind for _, _, kind, _ in listed[3:]] == [OutputKind.PREVIEW, OutputKind.TEXT]


async def test_saved_picture_carries_its_graph(rig: BuiltinRig) -> None:
    ticket, events = await run(rig.engine, rig.quick_work(new_id()))

    end = events[-1]
    assert isinstance(end, Completed)
    sink = io.BytesIO()
    await rig.engine.fetch(ticket, end.outputs[0], sink)
    with Image.open(sink) as image:
        graph = json.loads(image.info["prompt"])
    assert graph["4"] == {
        "class_type": "SaveImage",
        "inputs": {"images": ["3", 0], "filename_prefix": "both"},
    }


async def test_killed_child_is_noticed_and_replaced(rig: BuiltinRig) -> None:
    ticket = await begin(rig.engine, rig.slow_work(new_id()))
    await until_running(rig.engine, ticket)
    [child] = engine_children(os.getpid())
    child.kill()

    end = await end_of(rig.engine, ticket)

    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("worker_died", True)
    _, events = await run(rig.engine, rig.quick_work(new_id()))
    assert isinstance(events[-1], Completed)


async def test_run_forgotten_by_another_process_lets_go_of_its_owner(rig: BuiltinRig, tmp_path: Path) -> None:
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    ticket = await begin(rig.engine, rig.slow_work(new_id()))
    await until_running(rig.engine, ticket)
    shutil.rmtree(rig.run_folder(ticket).rename(tmp_path / "gone"))  # at once: it is being written into
    for child in engine_children(os.getpid()):
        child.kill()

    _, events = await run(rig.engine, rig.quick_work(new_id()))
    with pytest.raises(RunLost):
        await end_of(rig.engine, ticket)
    await rig.engine.aclose()
    gc.collect()  # a task that failed for nobody says so when it goes

    assert isinstance(events[-1], Completed)
    assert faults == []


async def test_killed_process_leaves_a_run_that_can_be_started_again(rig: BuiltinRig, tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.builtin_owner",
        tmp_path / "state",
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    ticket = Ticket.from_json((await owner.stdout.readline()).decode())
    await until_running(rig.engine, ticket)
    [child] = engine_children(owner.pid)
    owner.kill()
    await owner.wait()

    with pytest.raises(RunLost):
        await end_of(rig.engine, ticket)
    await asyncio.to_thread(child.wait, 10)
    await rig.engine.start(ticket)
    await until_running(rig.engine, ticket)
    await rig.engine.cancel(ticket)


async def test_cancel_reaches_the_process_that_runs(rig: BuiltinRig, tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.builtin_owner",
        tmp_path / "state",
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    ticket = Ticket.from_json((await owner.stdout.readline()).decode())
    await until_running(rig.engine, ticket)
    async with asyncio.timeout(60):
        await rig.engine.cancel(ticket)
        await owner.wait()

    assert owner.stdout is not None
    assert (await owner.stdout.read()).decode().strip() == "Cancelled"


async def test_result_changed_on_the_disk_is_not_handed_out(rig: BuiltinRig) -> None:
    ticket, events = await run(rig.engine, rig.quick_work(new_id()))
    end = events[-1]
    assert isinstance(end, Completed)
    for path in (rig.run_folder(ticket) / "outputs").iterdir():
        path.write_bytes(b"something else")

    with pytest.raises(OutputRejected):
        await rig.engine.fetch(ticket, end.outputs[0], io.BytesIO())


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "broken_media"), (b"<html>no</html>", "unsupported_media"), (b"GIF89a", "broken_media")],
)
async def test_bad_input_is_refused_before_it_is_staged(
    rig: BuiltinRig, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "shot.png"
    path.write_bytes(content)

    with pytest.raises(WorkRefused, match=r"shot\.png") as caught:
        await rig.engine.prepare(_loading(path))
    assert caught.value.details["reason"] == reason
    assert (caught.value.details["node"], caught.value.details["input"]) == ("1", "image")
    assert not list((tmp_path / "state").rglob("*.png"))


async def test_input_above_the_limit_is_refused_by_its_header(rig: BuiltinRig, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)

    with pytest.raises(WorkRefused, match="400 megapixels") as caught:
        await rig.engine.prepare(_loading(path))
    assert caught.value.details["reason"] == "media_too_large"


async def test_input_cut_in_its_middle_fails_at_its_node(rig: BuiltinRig, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.linear_gradient("L").resize((500, 500)).save(path)
    path.write_bytes(path.read_bytes()[:-900])

    _, events = await run(rig.engine, _loading(path))

    end = events[-1]
    assert isinstance(end, Failed)
    assert end.code == "broken_media"
    assert "node 1 (LoadImage)" in end.message


async def test_input_that_changed_since_it_was_named_is_refused(rig: BuiltinRig, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (9, 9)).save(path)
    work = _loading(path)
    stale = replace(work.inputs[0].file, digest="0" * 64)

    with pytest.raises(WorkRefused, match="changed"):
        await rig.engine.prepare(replace(work, inputs=(GraphInput("1", "image", stale),)))


async def test_memory_that_is_not_there_is_a_failure_of_the_node(rig: BuiltinRig) -> None:
    graph = {
        "1": node("EmptyImage", width=16384, height=16384, batch_size=4096, color=0),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }

    _, events = await run(rig.engine, graph_work(new_id(), graph))

    end = events[-1]
    assert isinstance(end, Failed)
    assert end.code == "out_of_memory"
    assert "node 1 (EmptyImage)" in end.message


async def _owner(tmp_path: Path) -> tuple[asyncio.subprocess.Process, Ticket]:
    """Another process that has just started a slow run over the same state."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.builtin_owner",
        tmp_path / "state",
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    return owner, Ticket.from_json((await owner.stdout.readline()).decode())


def _loading(path: Path):
    graph = {
        "1": node("LoadImage", image="../../etc/passwd"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    return graph_work(new_id(), graph, (GraphInput("1", "image", input_file(path)),))


def _preset_work(preset_id: str, photo: str) -> PresetWork:
    preset = load_preset(shipped_presets_folder() / preset_id)
    primary = preset.manifest.primary_input
    return PresetWork(
        job_id=new_id(),
        preset=preset,
        values=resolve_values(preset.manifest, {}),
        inputs={primary.id: (input_file(sample_photos_folder() / photo),)},
    )


async def test_preset_gives_its_outputs_alone(rig: BuiltinRig) -> None:
    work = _preset_work("product-glow", "product.jpg")

    _, events = await run(rig.engine, work)

    end = events[-1]
    assert isinstance(end, Completed)
    assert [output.kind for output in end.outputs] == [OutputKind.IMAGE]


async def test_preset_sees_a_grey_of_sixteen_bits_as_it_is(rig: BuiltinRig, tmp_path: Path) -> None:
    """Loaders clip such a picture to white; graphs get just that, photographers do not want it."""
    path = tmp_path / "deep.png"
    deep = np.tile(np.linspace(4000, 60000, 128).astype(np.uint16), (96, 1))
    Image.fromarray(deep).save(path)
    work = replace(_preset_work("noir", "portrait.jpg"), inputs={"photo": (input_file(path),)})

    ticket, events = await run(rig.engine, work)

    end = events[-1]
    assert isinstance(end, Completed)
    with io.BytesIO() as sink:
        await rig.engine.fetch(ticket, end.outputs[0], sink)
        levels = np.asarray(Image.open(sink).convert("L"))
    assert levels[:, :16].mean() < 60
    assert 140 < levels[:, -16:].mean() < 220
    assert (levels < 250).mean() > 0.8


async def test_preset_for_another_engine_is_refused_with_what_it_needs(rig: BuiltinRig) -> None:
    with pytest.raises(WorkRefused, match="Portrait Pro needs a ComfyUI") as caught:
        await rig.engine.prepare(_preset_work("portrait-pro", "portrait.jpg"))
    missing = caught.value.details["missing"]
    assert isinstance(missing, list)
    assert "KSampler" in missing
