"""The cloud as it is deployed: processes of `safelight-cloud`, which may be killed."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.support.ports import free_port

__all__ = ["CloudProcesses"]

_PROGRAM = "from cloud.cli import main; main()"
_START_S = 120.0


class CloudProcesses:
    """API processes and workers with the same settings. Their logs lie in `folder`."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAFELIGHT_")},
            "SAFELIGHT_DATA_DIR": str(folder / "data"),
            "SAFELIGHT_RATE_LIMITS": "false",
            **settings,
        }
        self._running: list[subprocess.Popen[bytes]] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def run(self, *words: str) -> str:
        """What a command that ends prints."""
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def killed_at(self, failpoint: str, *words: str) -> None:
        """A command that is killed at the failpoint, which it must reach."""
        process = self._start(*words, failpoint=failpoint)
        assert process.wait(_START_S) < 0, self.logs()

    def serve(self, *options: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        process = self._start("serve", "--port", str(port), *options, failpoint=failpoint)
        until = time.monotonic() + _START_S
        while not self._is_ready():
            assert process.poll() is None, self.logs()
            assert time.monotonic() < until, self.logs()
        return process

    def worker(self, *, failpoint: str = "") -> subprocess.Popen[bytes]:
        """With a failpoint, it is killed there."""
        process = self._start("worker", failpoint=failpoint)
        self._workers.append(process)
        return process

    def workers(self) -> list[subprocess.Popen[bytes]]:
        """Those that live."""
        return [process for process in self._workers if process.poll() is None]

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log")))

    def close(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, *words: str, failpoint: str = "") -> subprocess.Popen[bytes]:
        log = self._folder / f"{len(self._running)}-{words[0]}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *words],
                env=self._environment | ({"FAILPOINT": f"{failpoint}:kill"} if failpoint else {}),
                stdout=file,
                stderr=file,
            )
        self._running.append(process)
        return process

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=2) as answer:  # noqa: S310 - ours
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.02)
            return False
