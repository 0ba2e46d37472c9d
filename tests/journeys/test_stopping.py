"""A process that is told to stop."""

import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cloud_processes import CloudProcesses
from tests.support.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are of other systems")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_says_so_first_and_hurries_when_it_is_told_twice(tmp_path: Path) -> None:
    with closing(CloudProcesses(tmp_path, {"SAFELIGHT_NOTICE_S": "60"})) as processes:
        process = processes.serve()
        assert _status(f"{processes.url}/ready") == 200
        process.send_signal(signal.SIGTERM)
        _until(lambda: _status(f"{processes.url}/ready") == 503)
        assert _status(f"{processes.url}/health") == 200  # who is here already is still served
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "hurried" in processes.logs()


def test_worker_tells_prometheus_how_it_fares(tmp_path: Path) -> None:
    port = free_port()
    with closing(CloudProcesses(tmp_path, {"SAFELIGHT_METRICS_PORT": str(port)})) as processes:
        process = processes.worker()
        url = f"http://127.0.0.1:{port}"
        _until(lambda: _is_answered(url))
        assert (_status(f"{url}/ready"), _status(f"{url}/api/v1/jobs")) == (200, 404)
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:  # noqa: S310 - ours
            assert b"safelight_database_up 1.0" in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def _is_answered(url: str) -> bool:
    try:
        return _status(f"{url}/health") == 200
    except OSError:
        return False
