"""What the client survives; each test names the fault and what must hold."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from shared.comfy import endpoints
from shared.comfy.client import ComfyClient
from shared.comfy.errors import (
    PromptLost,
    PromptRefused,
    ServerAbsent,
    ServerFaulty,
    ServerTooOld,
    ServerUnreachable,
)
from shared.comfy.messages import PreviewFrame, StepProgress
from shared.comfy.records import Interrupted, NodeFailure, Place, Succeeded
from tests.shared.comfy.test_client import follow, prompt_of, run
from tests.shared.engines.comfy.rig import QUICK_PATIENCE, sampling, saving
from tests.support.comfy_server import ComfyServer, Recording, comfy_server, load_recordings


@pytest.fixture
async def server() -> AsyncIterator[ComfyServer]:
    async with comfy_server() as server:
        yield server


@pytest.fixture
async def client(server: ComfyServer) -> AsyncIterator[ComfyClient]:
    client = ComfyClient(server.url, patience=QUICK_PATIENCE)
    yield client
    await client.aclose()


async def test_a_lost_answer_is_no_second_run(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.lose_answers = 1

    prompt, news = await run(client, saving(1))

    assert isinstance(news[-1], Succeeded)
    assert server.begun == [prompt.id]
    assert server.count("POST", "/prompt") == 1


async def test_a_lost_request_is_sent_again(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.lose_requests = 2

    prompt, news = await run(client, saving(1))

    assert isinstance(news[-1], Succeeded)
    assert server.begun == [prompt.id]


async def test_requests_are_not_sent_for_ever(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.lose_requests = 9

    with pytest.raises(ServerUnreachable):
        await client.submit(prompt_of(client, saving(1)))
    assert server.count("POST", "/prompt") == 3


async def test_a_500_after_queueing_is_an_acceptance(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.answer_500 = 1

    prompt, news = await run(client, saving(1))

    assert isinstance(news[-1], Succeeded)
    assert server.begun == [prompt.id]


async def test_a_500_without_queueing_is_a_refusal(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.answer_500_only = 1

    with pytest.raises(PromptRefused):
        await client.submit(prompt_of(client, saving(1)))
    assert server.begun == []


async def test_partial_acceptance_is_refused_and_stopped(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.partial = True
    prompt = prompt_of(client, sampling(500, 1))

    with pytest.raises(PromptRefused) as caught:
        await client.submit(prompt)
    assert (caught.value.details["node"], caught.value.details["input"]) == ("2", "images")
    assert await client.sight(prompt.id) in {Place.ABSENT, Interrupted()}
    assert server.running is None


async def test_a_server_with_ids_of_its_own_is_too_old(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.own_ids = True
    blocking = sampling(500, 1)

    with pytest.raises(ServerTooOld) as caught:
        await client.submit(prompt_of(client, blocking))
    assert "0.3.57" in caught.value.message


async def test_a_captive_portal_is_no_acceptance(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.answer_html = 1

    with pytest.raises(ServerFaulty):
        await client.submit(prompt_of(client, saving(1)))
    assert server.begun == []


async def test_a_socket_closed_in_mid_run_is_opened_again(server: ComfyServer, client: ComfyClient) -> None:
    server.execution.held = True
    prompt = prompt_of(client, sampling(5, 1))
    await client.submit(prompt)
    await server.until_begun(prompt.id)
    server.drop_sockets()

    following = asyncio.create_task(follow(client, prompt))
    await server.until_connected(2)
    server.execution.held = False
    news = await following

    assert isinstance(news[-1], Succeeded)
    assert any(isinstance(item, StepProgress) for item in news), "the new socket brings steps again"
    assert set(server.connected) == {client.client_id}


async def test_a_message_beyond_the_bound_is_not_taken_and_the_end_is_found_by_looking(
    server: ComfyServer,
) -> None:
    client = ComfyClient(server.url, patience=QUICK_PATIENCE, max_message_bytes=4096)
    server.faults.garbage = ("x" * 4097,)

    with capture_logs() as logs:
        prompt, news = await run(client, sampling(5, 1))
    await client.aclose()

    assert isinstance(news[-1], Succeeded)
    assert server.begun == [prompt.id]
    assert {
        "event": "comfy_message_too_large",
        "log_level": "warning",
        "server": server.url,
        "max_bytes": 4096,
    } in logs


async def test_a_large_message_within_the_bound_goes_through(server: ComfyServer) -> None:
    client = ComfyClient(server.url, patience=QUICK_PATIENCE, max_message_bytes=1 << 20)
    pictures = "".join(f"picture {number:08}.png, " for number in range(10_000))
    server.faults.garbage = (json.dumps({"type": "executed", "data": {"output": {"text": [pictures]}}}),)

    _, news = await run(client, sampling(5, 1))
    await client.aclose()

    assert isinstance(news[-1], Succeeded)
    assert any(isinstance(item, StepProgress) for item in news)
    assert server.connected == [client.client_id]


async def test_without_any_socket_the_end_is_found_by_looking(
    server: ComfyServer, client: ComfyClient
) -> None:
    server.faults.refuse_sockets = True

    _, news = await run(client, sampling(5, 1))

    assert isinstance(news[-1], Succeeded)


async def test_a_deaf_socket_is_found_out_and_opened_again(server: ComfyServer, client: ComfyClient) -> None:
    await run(client, saving(1))
    server.faults.deaf_clients.add(client.client_id)
    server.execution.held = True
    prompt = prompt_of(client, sampling(5, 2))
    await client.submit(prompt)

    following = asyncio.create_task(follow(client, prompt))
    await server.until_connected(2)
    server.execution.held = False
    news = await following

    assert isinstance(news[-1], Succeeded)
    assert set(server.connected) == {client.client_id}
    assert any(isinstance(item, StepProgress) for item in news)


async def test_a_socket_that_never_speaks_again_does_not_hide_the_end(
    server: ComfyServer, client: ComfyClient
) -> None:
    server.faults.deaf = True

    _, news = await run(client, sampling(5, 1))

    assert isinstance(news[-1], Succeeded)


async def test_a_restart_loses_the_run(server: ComfyServer, client: ComfyClient) -> None:
    prompt = prompt_of(client, sampling(500, 1))
    await client.submit(prompt)
    await server.until_begun(prompt.id)
    following = asyncio.create_task(follow(client, prompt))
    await server.restart()

    with pytest.raises(PromptLost):
        await following
    _, news = await run(client, saving(2))
    assert isinstance(news[-1], Succeeded), "the same client goes on with the new process"


async def test_a_server_gone_for_long_is_said_to_be(server: ComfyServer, client: ComfyClient) -> None:
    prompt = prompt_of(client, sampling(500, 1))
    await client.submit(prompt)
    await server.stop()

    with pytest.raises(ServerUnreachable):
        await follow(client, prompt)
    with pytest.raises(ServerAbsent):
        await client.submit(prompt_of(client, saving(1)))
    with pytest.raises(ServerUnreachable):
        await client.cancel(prompt.id)
    await server.start()


async def test_a_frozen_server_is_waited_for(server: ComfyServer, client: ComfyClient) -> None:
    prompt = prompt_of(client, sampling(10, 1))
    await client.submit(prompt)
    server.faults.frozen.clear()
    following = asyncio.create_task(follow(client, prompt))
    asyncio.get_running_loop().call_later(0.7, server.faults.frozen.set)

    assert isinstance((await following)[-1], Succeeded)


async def test_slow_answers_are_no_failure(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.slow_s = 0.3

    _, news = await run(client, saving(1))

    assert isinstance(news[-1], Succeeded)


async def test_lost_interrupts_are_sent_again(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.lose_interrupts = 3
    prompt = prompt_of(client, sampling(500, 1))
    await client.submit(prompt)
    await server.until_begun(prompt.id)

    async with asyncio.timeout(60):
        assert await client.cancel(prompt.id) == Interrupted()
    assert server.count("POST", "/interrupt") >= 4


async def test_an_old_server_is_never_interrupted() -> None:
    """It would take a targeted interrupt for a global one: only pending prompts are withdrawn."""
    async with comfy_server(version="0.3.50") as server:
        client = ComfyClient(server.url, patience=QUICK_PATIENCE)
        server.execution.held = True
        running, pending = (prompt_of(client, sampling(3, seed)) for seed in range(2))
        await client.submit(running)
        await client.submit(pending)

        assert await client.cancel(pending.id) is None
        server.execution.held = False
        assert isinstance(await client.cancel(running.id), Succeeded)
        assert server.count("POST", "/interrupt") == 0
        await client.aclose()


async def test_a_lying_server(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.lie_success = True

    _, news = await run(client, saving(1))

    assert isinstance(news[-1], NodeFailure)


async def test_garbage_is_passed_over(server: ComfyServer, client: ComfyClient) -> None:
    server.faults.garbage = (
        "{",
        "[1]",
        '{"type": "progress", "data": []}',
        b"",
        b"\xff" * 40,
        "x" * (9 << 20),
    )

    _, news = await run(client, saving(1))

    assert isinstance(news[-1], Succeeded)


async def test_an_answer_without_end_is_not_kept(
    server: ComfyServer, client: ComfyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_MAX_JSON_BYTES", 1 << 20)
    server.object_info["KSampler"]["description"] = "x" * (1 << 20)

    with pytest.raises(ServerFaulty, match="larger than 1048576 bytes"):
        await client.catalogue()


async def test_two_clients_never_share_an_id(server: ComfyServer) -> None:
    clients = [ComfyClient(server.url) for _ in range(3)]

    assert len({client.client_id for client in clients}) == 3
    for client in clients:
        await client.aclose()


async def test_a_sleeping_follower_holds_up_nobody(server: ComfyServer, client: ComfyClient) -> None:
    """Previews pile up while nobody reads them: only the newest of each kind is kept."""
    prompt = prompt_of(client, sampling(60, 1))
    await client.submit(prompt)
    await server.until_over(prompt.id)

    news = await follow(client, prompt)

    assert sum(isinstance(item, PreviewFrame) for item in news) == 1
    assert sum(isinstance(item, StepProgress) for item in news) == 1
    assert isinstance(news[-1], Succeeded)


RECORDED = [
    recording
    for name in ("01_image_basic", "02_sd15_txt2img", "03_sd15_preview_metadata", "04_sd15_img2img",
                 "06_execution_error", "07_interrupt", "20_output_kinds")
    for recording in load_recordings(name)
    if recording.entry is not None
]  # fmt: skip


@pytest.mark.parametrize(
    "recording", RECORDED, ids=[f"{item.name}-{item.prompt_id[:4]}" for item in RECORDED]
)
async def test_recorded_runs_are_followed_to_their_end(
    server: ComfyServer, client: ComfyClient, recording: Recording
) -> None:
    server.play(recording)

    prompt, news = await run(client, saving(1))

    status = recording.entry["status"]
    ends = {name for name, _ in status["messages"]}
    expected = (
        NodeFailure if "execution_error" in ends
        else Interrupted if "execution_interrupted" in ends
        else Succeeded
    )  # fmt: skip
    assert isinstance(news[-1], expected)
    assert {getattr(item, "prompt_id", None) for item in news} <= {prompt.id, None}
