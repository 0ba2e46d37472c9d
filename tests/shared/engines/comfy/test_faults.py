"""What the engine survives beyond what every engine promises."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from shared.comfy.graph import parse_graph
from shared.engines.base import (
    EngineUnavailable,
    GraphInput,
    GraphWork,
    InputFile,
    InputsGone,
    OutputRejected,
    RunLost,
    Ticket,
    WorkRefused,
)
from shared.engines.comfy import ComfyEngine
from shared.files import digest_bytes, digest_file
from shared.ids import new_id
from shared.jobs.events import (
    Completed,
    Failed,
    OutputKind,
    Preview,
    Progress,
    Stage,
    StageName,
    Started,
)
from shared.media import MediaLimits
from tests.contract.engine_suite import begin, collect, end_of, fetched, run
from tests.shared.engines.comfy.rig import make_engine, sampling, saving
from tests.support.comfy_server import ComfyServer, OutputFault, comfy_server

LIMITS = MediaLimits(max_bytes=4 << 20, max_pixels=1 << 20, max_frames=4)


@pytest.fixture
async def server() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def engine(server: ComfyServer, tmp_path: Path) -> AsyncIterator[ComfyEngine]:
    engine = make_engine(server.url, tmp_path / "spool", output_limits=LIMITS)
    yield engine
    await engine.aclose()


def work(graph: dict, *inputs: GraphInput) -> GraphWork:
    return GraphWork(job_id=new_id(), graph=parse_graph(graph), inputs=inputs)


def inverting() -> dict:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def picture(path: Path, colour: str = "navy", name: str = "my photo.png") -> GraphInput:
    Image.new("RGB", (24, 16), colour).save(path, "PNG")
    return GraphInput("1", "image", InputFile(path, digest_file(path), name))


@pytest.mark.parametrize(
    "fault", [OutputFault.EMPTY, OutputFault.TRUNCATED, OutputFault.HTML, OutputFault.HUGE]
)
async def test_bad_outputs_are_never_delivered(
    server: ComfyServer, engine: ComfyEngine, fault: OutputFault
) -> None:
    server.faults.output = fault

    _, events = await run(engine, work(saving(1)))

    end = events[-1]
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == (OutputRejected.code, False)
    assert "pair_00001_.png" in end.message


async def test_a_download_that_breaks_off_can_be_followed_again(
    server: ComfyServer, engine: ComfyEngine
) -> None:
    server.faults.output = OutputFault.CUT
    ticket = await begin(engine, work(saving(1)))

    with pytest.raises(EngineUnavailable):
        await end_of(engine, ticket)
    server.faults.output = None
    assert isinstance(await end_of(engine, ticket), Completed)
    assert server.begun == [ticket.run_id]


async def test_cached_outputs_whose_files_were_deleted_are_saved_again(
    server: ComfyServer, engine: ComfyEngine
) -> None:
    _, first = await run(engine, work(saving(1)))
    server.delete_outputs()

    ticket, events = await run(engine, work(saving(1)))

    end = events[-1]
    assert isinstance(end, Completed)
    assert isinstance(first[-1], Completed)
    assert [output.digest for output in end.outputs] == [output.digest for output in first[-1].outputs]
    assert len(await fetched(engine, ticket, end.outputs[0])) == end.outputs[0].bytes
    assert len(server.begun) == 3


async def test_temporary_files_are_told_apart(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    _, events = await run(engine, work(inverting(), picture(tmp_path / "a")))

    end = events[-1]
    assert isinstance(end, Completed)
    assert [(output.node, output.kind) for output in end.outputs] == [
        ("3", OutputKind.IMAGE),
        ("4", OutputKind.PREVIEW),
    ]


async def test_only_the_declared_nodes_deliver(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    """A preset's ticket names its output nodes."""
    prepared = await engine.prepare(work(inverting(), picture(tmp_path / "a")))
    details = {**prepared.details, "outputs": ["3"]}
    ticket = Ticket(
        engine="comfy", run_id=prepared.run_id, job_id=prepared.job_id, attempt=1, details=details
    )
    await engine.start(ticket)

    end = await end_of(engine, ticket)

    assert isinstance(end, Completed)
    assert [output.node for output in end.outputs] == ["3"]


async def test_inputs_go_up_once_and_under_their_digest(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    item = picture(tmp_path / "a")
    for _ in range(3):
        _, events = await run(engine, work(inverting(), item))
        assert isinstance(events[-1], Completed)

    assert server.count("POST", "/upload/image") == 1
    assert [name for kind, name in server.files if kind == "input"] == [f"safelight/{item.file.digest}.png"]


async def test_a_renamed_upload_is_used_under_its_new_name(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    item = picture(tmp_path / "a", "red")
    server.files["input", f"safelight/{item.file.digest}.png"] = b"something else"

    ticket, events = await run(engine, work(inverting(), item))

    end = events[-1]
    assert isinstance(end, Completed)
    with Image.open(io.BytesIO(await fetched(engine, ticket, end.outputs[0]))) as image:
        assert image.getpixel((0, 0)) == (0, 255, 255)


async def test_a_wiped_input_folder_is_a_passing_trouble(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    item = picture(tmp_path / "a")
    await run(engine, work(inverting(), item))
    server.files.clear()

    with pytest.raises(InputsGone):
        await begin(engine, work(inverting(), item))
    _, events = await run(engine, work(inverting(), item))
    assert isinstance(events[-1], Completed)


async def test_what_is_no_picture_is_refused_before_it_is_sent(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"<html>not found</html>")
    item = GraphInput("1", "image", InputFile(path, digest_file(path), "holiday.png"))

    with pytest.raises(WorkRefused) as caught:
        await engine.prepare(work(inverting(), item))
    assert (caught.value.details["node"], caught.value.details["input"]) == ("1", "image")
    assert "holiday.png" in caught.value.message
    assert server.count("POST", "/upload/image") == 0


async def test_a_missing_model_is_named_and_nothing_is_sent(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    with pytest.raises(WorkRefused) as caught:
        await engine.prepare(work(sampling(2, 1, checkpoint="dream.safetensors")))

    details = caught.value.details
    assert (details["node"], details["input"]) == ("4", "ckpt_name")
    assert "dream.safetensors" in caught.value.message
    assert {request.method for request in server.requests} == {"GET"}


async def test_a_model_that_was_just_added_is_found(server: ComfyServer, engine: ComfyEngine) -> None:
    await engine.prepare(work(sampling(2, 1)))
    names = server.object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    names.append("dream.safetensors")

    ticket = await engine.prepare(work(sampling(2, 1, checkpoint="dream.safetensors")))

    assert ticket.details["server"] == server.url


async def test_running_out_of_memory_is_said_plainly(server: ComfyServer, engine: ComfyEngine) -> None:
    server.faults.fail_with = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed memory\n")

    _, events = await run(engine, work(sampling(2, 1)))

    end = events[-1]
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("out_of_memory", True)
    assert end.message.startswith("node 4 (CheckpointLoaderSimple) ran out of memory")
    assert server.count("POST", "/free") == 1


async def test_a_failure_shows_no_paths_of_the_server(server: ComfyServer, engine: ComfyEngine) -> None:
    server.faults.fail_with = (
        "OSError",
        "cannot open '/home/me/ComfyUI/models/x.safetensors'\nTraceback (most recent call last): …",
    )

    _, events = await run(engine, work(sampling(2, 1)))

    end = events[-1]
    assert isinstance(end, Failed)
    assert end.message == (
        "node 4 (CheckpointLoaderSimple) failed on the server: cannot open 'x.safetensors'"
    )


async def test_progress_never_falls(server: ComfyServer, engine: ComfyEngine) -> None:
    server.faults.backwards = True

    _, events = await run(engine, work(sampling(12, 1)))

    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert isinstance(events[-1], Completed)


async def test_steps_stages_and_previews(server: ComfyServer, engine: ComfyEngine) -> None:
    _, events = await run(engine, work(sampling(12, 1)))

    assert isinstance(events[0], Started)
    assert [event.name for event in events if isinstance(event, Stage)] == [
        StageName.LOADING_MODEL,
        StageName.RUNNING,
    ]
    steps = [(event.step, event.steps) for event in events if isinstance(event, Progress) and event.step]
    assert steps[-1] == (12, 12)
    etas = [event.eta_s for event in events if isinstance(event, Progress) and event.step]
    assert etas[-1] == 0
    assert all(eta is not None and 0 <= eta < 30 for eta in etas)
    assert any(isinstance(event, Preview) for event in events)
    sampled = [event.fraction for event in events if isinstance(event, Progress) and event.step]
    assert sampled[-1] - sampled[0] > 0.5, "twelve steps weigh more than five single nodes"


async def test_an_answer_lost_between_two_processes_is_no_second_run(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    ticket = await engine.prepare(work(saving(1)))
    server.faults.lose_answers = 1
    await engine.start(ticket)
    other = make_engine(server.url, tmp_path / "other")
    await other.start(Ticket.from_json(ticket.to_json()))

    end = await end_of(other, ticket)

    assert isinstance(end, Completed)
    assert server.begun == [ticket.run_id]
    await other.aclose()


async def test_a_run_from_another_process_brings_its_steps(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    """The socket of the process that died is taken over."""
    server.execution.held = True
    ticket = await begin(engine, work(sampling(5, 1)))
    await server.until_begun(ticket.run_id)
    other = make_engine(server.url, tmp_path / "other")

    following = asyncio.create_task(collect(other.follow(ticket)))
    await server.until_connected(2)
    server.execution.held = False
    events = await following

    assert isinstance(events[-1], Completed)
    assert any(isinstance(event, Progress) and event.step for event in events)
    await other.aclose()


async def test_a_restart_of_the_server_loses_the_run(server: ComfyServer, engine: ComfyEngine) -> None:
    ticket = await begin(engine, work(sampling(500, 1)))
    await server.until_begun(ticket.run_id)
    await server.restart()

    with pytest.raises(RunLost):
        await end_of(engine, ticket)


async def test_a_server_that_is_gone_is_unavailable(server: ComfyServer, engine: ComfyEngine) -> None:
    ticket = await begin(engine, work(sampling(500, 1)))
    await server.stop()

    with pytest.raises(EngineUnavailable):
        await end_of(engine, ticket)
    prepared = await engine.prepare(work(saving(1)))
    with pytest.raises(EngineUnavailable):
        await engine.start(prepared)
    with pytest.raises(EngineUnavailable):
        await engine.capabilities()
    await server.start()


async def test_outputs_lost_from_the_spool_are_fetched_again(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    ticket, events = await run(engine, work(saving(1)))
    end = events[-1]
    assert isinstance(end, Completed)
    other = make_engine(server.url, tmp_path / "other")

    for output in end.outputs:
        assert digest_bytes(await fetched(other, ticket, output)) == output.digest
    await other.aclose()


async def test_names_from_the_server_never_become_paths(
    server: ComfyServer, engine: ComfyEngine, tmp_path: Path
) -> None:
    ticket = await begin(engine, work(saving(1)))
    await server.until_over(ticket.run_id)
    entry = json.dumps(server.execution.history[ticket.run_id])
    evil = "../../../outside/pair_00001_.png"
    server.execution.history[ticket.run_id] = json.loads(entry.replace("pair_00001_.png", evil))
    server.files["output", f"safelight/{evil}"] = server.files["output", "safelight/pair_00001_.png"]

    end = await end_of(engine, ticket)

    assert isinstance(end, Completed)
    assert [output.name for output in end.outputs] == ["pair_00001_.png", "pair_00002_.png", "one_00003_.png"]
    spool = tmp_path / "spool" / ticket.run_id
    assert {Path(folder) for folder, _, files in os.walk(tmp_path) if files} == {spool}


async def test_capabilities_name_models_and_version(server: ComfyServer, engine: ComfyEngine) -> None:
    capabilities = await engine.capabilities()

    assert capabilities.version == "0.3.64"
    assert capabilities.models["checkpoints"] == ("random_sd15_fp16.safetensors",)
