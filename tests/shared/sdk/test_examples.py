"""The examples of docs/sdk.md, run as they stand."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.api.webhook_signatures import new_webhook_secret, webhook_signature
from shared.media import DEFAULT_OUTPUT_LIMITS
from shared.presets.bundle import shipped_presets_folder
from tests.support.cloud_server import CloudServer, cloud_server
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
EXAMPLES = dict(
    re.findall(
        r"^## (.+?)\n\n```python\n(.+?)```", (ROOT / "docs" / "sdk.md").read_text(), re.MULTILINE | re.DOTALL
    )
)
_LONGEST_LINES = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    folder = tmp_path_factory.mktemp("cloud")
    with cloud_server(folder, presets={}, output_limits=DEFAULT_OUTPUT_LIMITS) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the files that the examples speak of."""
    samples = shipped_presets_folder() / "samples"
    shutil.copy(samples / "cat.jpg", tmp_path / "photo.jpg")
    (tmp_path / "in").mkdir()
    for name in ("cat.jpg", "portrait.jpg"):
        shutil.copy(samples / name, tmp_path / "in" / name)
    return tmp_path


def started(title: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
    path = folder / "example.py"
    path.write_text(EXAMPLES[title])
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def printed(title: str, folder: Path, server: CloudServer) -> list[str]:
    with started(title, folder, SAFELIGHT_CLOUD_URL=server.url, SAFELIGHT_API_KEY=server.key) as process:
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return told.splitlines()


def test_examples_are_short() -> None:
    assert len(EXAMPLES) == 5
    assert {title: text for title, text in EXAMPLES.items() if len(text.splitlines()) > _LONGEST_LINES} == {}


def test_one_picture(folder: Path, server: CloudServer) -> None:
    told = printed("One picture, and wait for it", folder, server)
    assert told[0].startswith("completed")
    assert [path.name for path in (folder / "out").iterdir()] == ["photo.png"]


def test_live_progress(folder: Path, server: CloudServer) -> None:
    told = printed("Live progress", folder, server)
    assert told[0] == "Queued"
    assert "Started" in told
    assert told[-1] == "Completed"


def test_batch(folder: Path, server: CloudServer) -> None:
    assert printed("A batch", folder, server) == ["2 of 2"]
    assert {path.name for path in (folder / "out").iterdir()} == {"cat.png", "portrait.png"}


def test_event_loop(folder: Path, server: CloudServer) -> None:
    told = printed("With an event loop", folder, server)
    assert len([line for line in told if line.startswith("Completed(")]) == 2


def test_receiver_of_webhooks(folder: Path) -> None:
    secret, port = new_webhook_secret(), free_port()
    body, now = (
        b'{"type":"ping","timestamp":"2026-01-01T00:00:00+00:00","data":{"job":"j1"}}',
        int(time.time()),
    )
    headers = {"webhook-id": "m1", "webhook-timestamp": f"{now}"}
    signed = {**headers, "webhook-signature": webhook_signature(secret, "m1", now, body)}
    forged = {**headers, "webhook-signature": webhook_signature(new_webhook_secret(), "m1", now, body)}
    process = started("A receiver of webhooks", folder, WEBHOOK_SECRET=secret, PORT=str(port))
    with process, httpx.Client(transport=httpx.HTTPTransport(retries=12)) as client:
        url = f"http://127.0.0.1:{port}"
        answers = [client.post(url, content=body, headers=given).status_code for given in (signed, forged)]
        process.terminate()
        told, _ = process.communicate(timeout=60)
    assert answers == [204, 400]
    assert told == "ping {'job': 'j1'}\n"
