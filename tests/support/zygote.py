"""Processes of `safelight-cloud` that start quickly: forked from one that has imported everything.

python -m tests.support.zygote
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloud.cli
import cloud.cli.process

__all__ = ["ForkedProcess", "Zygote"]

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class ForkedProcess:
    """What a test asks of a `subprocess.Popen`, for a process that the zygote began."""

    def __init__(self, zygote: "Zygote", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._zygote = zygote

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._zygote.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float = 60.0) -> int:
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(["safelight-cloud"], timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """Every process it begins looks for its failpoints in the file of that name."""

    def __init__(self, *, failpoints: Path, top: Path = Path(__file__).parents[2]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SAFELIGHT_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=top,
            env={**kept, "PYTHONPATH": str(top), "FAILPOINT": f"@{failpoints}"},
            text=True,
        )
        self._turn = threading.Lock()

    def start(self, words: tuple[str, ...], environment: Mapping[str, str], log: Path) -> ForkedProcess:
        pid = self.ask({"words": words, "environment": dict(environment), "log": str(log)})
        return ForkedProcess(self, pid)

    def ask(self, question: Mapping[str, Any]) -> Any:
        with self._turn:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """With whatever still runs."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def _answer(question: Mapping[str, Any]) -> int | None:
    if "poll" in question:
        pid, status = os.waitpid(question["poll"], os.WNOHANG)
        return None if pid == 0 else os.waitstatus_to_exitcode(status)
    pid = os.fork()
    if pid == 0:
        _become(question)
    return pid


def _become(question: Mapping[str, Any]) -> None:
    """Never returns."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        log = os.open(question["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, log, log)):
            os.dup2(file, number)
        os.environ.update(question["environment"])
        sys.argv = ["safelight-cloud", *question["words"]]
        cloud.cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - the entry of a process
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _serve() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
