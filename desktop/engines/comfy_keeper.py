"""A process of its own that runs one ComfyUI and ends it when nobody uses it any more.

It outlives no user, however that one died, and no ComfyUI outlives it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import Timeout

from desktop.engines.comfy_users import ComfyPlace, Ended, Running

__all__ = ["main"]

_LOOK_S = 0.25
_END_S = 10.0
_OURS = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "FAILPOINT"}  # ComfyUI's Python is another one
_PR_SET_PDEATHSIG = 1


def main() -> int:
    place = ComfyPlace(Path(sys.argv[1]))
    os.chdir(place.folder)
    try:
        with place.keeper_lock():
            order = place.order()
            return 2 if order is None else _keep(place, order)
    except Timeout:
        return 0  # another one keeps it


def _keep(place: ComfyPlace, order: Running) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    begun = time.monotonic()
    with place.log.open("wb") as log:
        try:
            child = _start(order, log.fileno())
        except OSError as error:
            log.write(f"{order.command[0]} cannot be started: {error.strerror}\n".encode())
            place.write_ended(Ended(code=127, lasted_s=0.0))
            return 1
    try:
        while child.poll() is None and place.has_users():
            time.sleep(_LOOK_S)
        if child.returncode is not None:
            place.write_ended(Ended(code=child.returncode, lasted_s=time.monotonic() - begun))
    finally:
        _end(child)
    return 0


def _start(order: Running, log: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        order.command,
        cwd=order.cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name not in _OURS}
        | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no thread here
    )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """The whole group, whatever ComfyUI has started besides."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(child.pid)], check=False, capture_output=True)
        child.wait()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_END_S)


if __name__ == "__main__":
    sys.exit(main())
