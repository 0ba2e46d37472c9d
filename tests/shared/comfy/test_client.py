"""The client against a server: the stand-in always, and a real one where COMFYUI_URL names it."""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from shared.comfy.client import ComfyClient
from shared.comfy.errors import FileGone, FileTooLarge, PromptLost, PromptRefused, ServerUnreachable
from shared.comfy.following import News
from shared.comfy.graph import parse_graph
from shared.comfy.messages import ExecutionStarted, NodeStarted, PreviewFrame, StepProgress
from shared.comfy.patience import Patience
from shared.comfy.records import Interrupted, NodeFailure, Place, ServerFile, ServerText, Succeeded
from shared.comfy.submission import Prompt
from shared.files import digest_file
from shared.ids import new_id
from tests.shared.engines.comfy.rig import QUICK_PATIENCE, sampling, saving
from tests.support.comfy_server import comfy_server

BOUND_S = 60.0
REAL = pytest.param(
    "real",
    marks=[
        pytest.mark.real_comfyui,
        pytest.mark.skipif("COMFYUI_URL" not in os.environ, reason="needs COMFYUI_URL"),
    ],
)


@pytest.fixture(params=["stand-in", "newer stand-in", REAL])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "real":
        yield os.environ["COMFYUI_URL"]
        return
    is_newer = request.param == "newer stand-in"
    async with comfy_server(jobs_api=is_newer, version="0.38.0" if is_newer else "0.3.64") as server:
        yield server.url


@pytest.fixture
async def client(url: str) -> AsyncIterator[ComfyClient]:
    """A real server may be busy with other people's work: it gets the usual patience."""
    is_real = url == os.environ.get("COMFYUI_URL")
    client = ComfyClient(url, patience=Patience() if is_real else QUICK_PATIENCE)
    yield client
    await client.aclose()


def prompt_of(client: ComfyClient, graph: dict) -> Prompt:
    return Prompt(id=new_id(), client_id=client.client_id, graph=parse_graph(graph))


async def follow(client: ComfyClient, prompt: Prompt) -> list[News]:
    async with asyncio.timeout(BOUND_S):
        return [news async for news in client.follow(prompt.id, client_id=prompt.client_id)]


async def run(client: ComfyClient, graph: dict) -> tuple[Prompt, list[News]]:
    prompt = prompt_of(client, graph)
    await client.submit(prompt)
    return prompt, await follow(client, prompt)


def fresh_number() -> int:
    return time.time_ns() % 2**24


async def test_a_run_with_its_files(client: ComfyClient) -> None:
    prompt, news = await run(client, saving(fresh_number()))

    assert news[0] == ExecutionStarted(prompt.id)
    assert {item.node for item in news if isinstance(item, NodeStarted)} == {"1", "2", "3", "4"}
    outcome = news[-1]
    assert isinstance(outcome, Succeeded)
    files = [item for item in outcome.outputs if isinstance(item, ServerFile)]
    assert sorted((file.node, file.index, file.type) for file in files) == [
        ("2", 0, "output"),
        ("2", 1, "output"),
        ("4", 0, "output"),
    ]
    sink = io.BytesIO()
    await client.download(files[0], sink, max_bytes=1 << 20)
    assert Image.open(sink).size in {(32, 24), (16, 16)}


async def test_an_upload_is_used_under_the_returned_name(client: ComfyClient, tmp_path: Path) -> None:
    colour = tuple(fresh_number().to_bytes(3, "big"))
    path = tmp_path / "photo.png"
    Image.new("RGB", (20, 10), colour).save(path)
    name = f"{digest_file(path)}.png"

    first = await client.upload(path, name=name)
    again = await client.upload(path, name=name)

    assert first == again
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": first.reference}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    _, news = await run(client, graph)
    outcome = news[-1]
    assert isinstance(outcome, Succeeded)
    (file,) = outcome.outputs
    assert isinstance(file, ServerFile)
    assert file.is_temporary
    sink = io.BytesIO()
    await client.download(file, sink, max_bytes=1 << 20)
    inverted = Image.open(sink).convert("RGB").getpixel((3, 3))
    assert inverted == pytest.approx([255 - value for value in colour], abs=1)


async def test_texts_are_outputs_too(client: ComfyClient) -> None:
    graph = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": "héllo"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    _, news = await run(client, graph)

    assert news[-1] == Succeeded((ServerText(node="2", index=0, text="héllo"),))


async def test_steps_and_previews_arrive(client: ComfyClient) -> None:
    prompt, news = await run(client, sampling(3, fresh_number()))

    steps = [item for item in news if isinstance(item, StepProgress)]
    assert steps[-1] == StepProgress(prompt.id, "3", 3, 3)
    previews = [item for item in news if isinstance(item, PreviewFrame)]
    assert previews
    assert {(item.prompt_id, item.node, item.media_type) for item in previews} == {
        (prompt.id, "3", "image/jpeg")
    }
    assert isinstance(news[-1], Succeeded)


async def test_a_running_prompt_is_cancelled_alone(client: ComfyClient) -> None:
    running, waiting = (prompt_of(client, sampling(2000, fresh_number() + at)) for at in range(2))
    await client.submit(running)
    await client.submit(waiting)
    async with asyncio.timeout(BOUND_S):
        assert await client.cancel(waiting.id) in {None, Interrupted()}
        assert await client.sight(running.id) in {Place.PENDING, Place.RUNNING}
        await client.cancel(running.id)

    assert (await follow(client, running))[-1] == Interrupted()
    assert (await follow(client, waiting))[-1] == Interrupted()


async def test_a_refused_graph_names_node_and_input(client: ComfyClient) -> None:
    graph = saving(1)
    graph["1"]["inputs"]["width"] = 10**6

    with pytest.raises(PromptRefused) as caught:
        await client.submit(prompt_of(client, graph))
    assert (caught.value.details["node"], caught.value.details["input"]) == ("1", "width")


async def test_an_unreadable_input_fails_in_its_node(client: ComfyClient, tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    path.write_bytes(b"no picture %d" % fresh_number())
    stored = await client.upload(path, name=f"{digest_file(path)}.png")
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": stored.reference}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    _, news = await run(client, graph)

    assert isinstance(news[-1], NodeFailure)
    assert (news[-1].node, news[-1].class_type) == ("1", "LoadImage")


async def test_many_prompts_share_one_socket(client: ComfyClient) -> None:
    number = fresh_number()
    prompts = [prompt_of(client, saving(number + at)) for at in range(8)]
    for prompt in prompts:
        await client.submit(prompt)

    runs = await asyncio.gather(*(follow(client, prompt) for prompt in prompts))

    for prompt, news in zip(prompts, runs, strict=True):
        assert isinstance(news[-1], Succeeded)
        assert {getattr(item, "prompt_id", prompt.id) for item in news} == {prompt.id}


async def test_an_erased_prompt_is_lost(client: ComfyClient) -> None:
    prompt, _ = await run(client, saving(fresh_number()))
    await client.erase(prompt.id)

    with pytest.raises(PromptLost):
        await follow(client, prompt)


async def test_a_file_that_is_not_there_or_too_large(client: ComfyClient) -> None:
    _, news = await run(client, saving(fresh_number()))
    outcome = news[-1]
    assert isinstance(outcome, Succeeded)
    file = next(item for item in outcome.outputs if isinstance(item, ServerFile))
    gone = ServerFile(
        node="2", index=0, group="images", filename="safelight none.png", subfolder="", type="output"
    )

    with pytest.raises(FileTooLarge):
        await client.download(file, io.BytesIO(), max_bytes=10)
    with pytest.raises(FileGone):
        await client.download(gone, io.BytesIO(), max_bytes=1 << 20)


async def test_what_the_server_says_of_itself(client: ComfyClient) -> None:
    facts = await client.facts()
    catalogue = await client.catalogue()

    assert facts.version
    assert facts.interrupts_one_prompt
    assert facts.memory_free_bytes
    assert "random_sd15_fp16.safetensors" in await client.models("checkpoints")
    assert await client.models("no such folder") == ()
    assert "SaveImage" in catalogue.names


async def test_nobody_listening_is_said_at_once(unused_tcp_port: int) -> None:
    client = ComfyClient(f"localhost:{unused_tcp_port}")
    with pytest.raises(ServerUnreachable) as caught:
        await client.facts()
    assert "start it" in caught.value.message
    await client.aclose()
