"""One request from the API by the bell to a worker and ComfyUI: one id, one trace, and no secret in a log."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.api.jobs import Job
from shared.files import digest_file
from shared.jobs.state import JobState
from shared.presets.bundle import sample_photos_folder
from shared.sdk.blocking_client import BlockingCloudClient
from tests.journeys.cluster import Cluster, open_cluster
from tests.support.comfy_thread import ComfyThread, comfy_thread
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.telemetry_receiver import TelemetryReceiver, telemetry_receiver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are told to stop by signals")

PHOTO = sample_photos_folder() / "portrait.jpg"
MODEL = "random_sd15_fp16.safetensors"
REQUEST_ID = "the-request-7"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MAIL = "canary.mail@studio.example"
PROMPT = "a canary of words in a cage"
WRONG_KEY = "sl_live_canary0123456789abcdefghijklmnop"
WRONG_LINK = "canary-of-a-signed-link"


@dataclass(frozen=True)
class Told:
    """What is left of a job that was asked for by one request, after the processes have ended."""

    job: Job
    key: str
    link: str
    prompts: list[dict[str, Any]]
    headers: list[str | None]
    spans: list[Any]
    logs: dict[str, list[dict[str, Any]]]
    text: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("one-request")
    with ExitStack() as stack:
        redis = stack.enter_context(closing(RedisServer()))
        comfy = stack.enter_context(comfy_thread())
        receiver = stack.enter_context(telemetry_receiver())
        settings = {
            "COMFYUI_URLS": comfy.url,
            "OTLP_ENDPOINT": receiver.url,
            "LOG_LEVEL": "debug",
            "LOG_JSON": "true",
        }
        cluster = stack.enter_context(open_cluster(folder, postgres_server, redis, **settings))
        yield _after_one_job(cluster, comfy, receiver, folder)


def _after_one_job(cluster: Cluster, comfy: ComfyThread, receiver: TelemetryReceiver, folder: Path) -> Told:
    cluster.processes.run("users", "create", MAIL, "--plan", "studio")
    key = cluster.processes.run("keys", "create", "--user", MAIL)
    headers = {"Authorization": f"Bearer {key}", "X-Request-ID": REQUEST_ID, "traceparent": CALLER}
    worker = cluster.processes.worker()
    with httpx.Client(base_url=f"{cluster.processes.url}/api/v1", timeout=30) as http:
        answer = http.post("/jobs", headers=headers, json=_body(cluster, key))
        assert answer.status_code == 202, answer.text
        job = _ended(cluster, key, answer.json()["id"])
        assert job.outputs, cluster.processes.logs()[-6000:]
        link = job.outputs[0].download.url
        assert http.get(link).status_code == 200
        _ask_wrongly(http, key)
    for process in (worker, cluster.api):
        process.terminate()
        assert process.wait(60) == 0
    sent = [request for request in comfy.server.requests if request.path == "/prompt"]
    logs = {path.name: path.read_text() for path in folder.glob("*.log")}
    return Told(
        job=job,
        key=key,
        link=link,
        prompts=[request.json() for request in sent],
        headers=[request.headers.get("x-request-id") for request in sent],
        spans=receiver.spans,
        logs={name.split("-")[1].removesuffix(".log"): _events(text) for name, text in logs.items()},
        text="\n".join(logs.values()),
    )


def _body(cluster: Cluster, key: str) -> dict[str, Any]:
    digest = digest_file(PHOTO)
    with closing(BlockingCloudClient(server_url=cluster.processes.url, api_key=key)) as client:
        client.upload_artifact(PHOTO, digest)
    return {
        "preset": "portrait-pro",
        "inputs": {"photo": [{"digest": digest, "name": "p.jpg"}]},
        "values": {"model": MODEL, "steps": 2, "size": 256, "prompt": PROMPT},
    }


def _ended(cluster: Cluster, key: str, job_id: str) -> Job:
    with closing(BlockingCloudClient(server_url=cluster.processes.url, api_key=key)) as client:
        until = time.monotonic() + 120
        while (job := client.get_job(job_id)).finished_at is None:
            assert time.monotonic() < until, cluster.processes.logs()[-6000:]
            time.sleep(0.05)
    return job


def _ask_wrongly(http: httpx.Client, key: str) -> None:
    """All that is refused, and so the more readily logged."""
    wrong = {"Authorization": f"Bearer {WRONG_KEY}"}
    assert http.get("/jobs", headers=wrong).status_code == 401
    assert http.get(f"/downloads/{WRONG_LINK}").status_code in {403, 404}
    assert http.put(f"/uploads/{WRONG_LINK}", content=b"x").status_code in {403, 404}
    for body in ({"preset": "portrait-pro", "values": {"prompt": [PROMPT]}}, {"graph": {"1": PROMPT}}):
        answer = http.post("/jobs", headers={"Authorization": f"Bearer {key}"}, json=body)
        assert answer.status_code in {403, 422}


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_id_of_the_request_goes_all_the_way(told: Told) -> None:
    assert told.job.state is JobState.COMPLETED, told.text[-6000:]
    [prompt] = told.prompts
    assert prompt["extra_data"] == {"safelight": {"job": told.job.id, "request_id": REQUEST_ID}}
    assert told.headers == [REQUEST_ID]
    for process in ("serve", "worker"):
        events = [event for event in told.logs[process] if event.get("request_id") == REQUEST_ID]
        assert events, told.logs[process]
    assert {event["job"] for event in events} == {told.job.id}


def test_the_attempt_belongs_to_the_trace_of_the_request(told: Told) -> None:
    [asked] = [span for span in told.spans if span.name == "POST /api/v1/jobs" and _parent(span)]
    [tried] = [span for span in told.spans if span.name == "attempt"]
    assert (asked.trace_id.hex(), _parent(asked)) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert (tried.trace_id, _parent(tried)) == (asked.trace_id, asked.span_id.hex())


def test_no_log_and_no_span_holds_a_secret(told: Told) -> None:
    token = told.link.rpartition("/")[2]
    assert len(token) > 20
    canaries = {told.key, token, MAIL, PROMPT, WRONG_KEY, WRONG_LINK, "canary"}
    spans = str(told.spans)
    assert [word for word in sorted(canaries) if word in told.text or word in spans] == []


def _parent(span: Any) -> str:
    parent: str = span.parent_span_id.hex()
    return parent
