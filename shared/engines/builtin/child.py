"""The process that does the work of one run after another, until its parent ends it."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import structlog
from PIL import Image

from shared.engines.builtin.entry import DONE, READY, TOLD
from shared.engines.builtin.job import perform
from shared.engines.builtin.run_folder import RunFolder
from shared.jobs.events import Failed
from shared.media import MediaLimits

if sys.platform != "win32":
    import resource

__all__ = ["serve"]


def serve(connection: Connection, limits: MediaLimits, memory_bytes: int | None) -> None:
    """Take folders of runs from the connection, one at a time; returns when the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory(memory_bytes)
    Image.init()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send_bytes(READY)
        while True:
            folder = RunFolder(Path(os.fsdecode(connection.recv_bytes())))
            _perform(folder, connection, limits)
            connection.send_bytes(DONE)


def _perform(folder: RunFolder, connection: Connection, limits: MediaLimits) -> None:
    try:
        perform(folder, lambda: connection.send_bytes(TOLD), limits)
    except Exception as error:  # noqa: BLE001 - a fault of ours ends this run, not the runs after it
        structlog.get_logger().exception("builtin_run_crashed", run=folder.path.name)
        request = folder.read_request()
        folder.append(
            Failed(
                job_id=request.job_id,
                attempt=request.attempt,
                at=datetime.now(UTC),
                code="internal",
                message=f"the built-in engine stumbled ({type(error).__name__}); please report this graph",
                retryable=False,
            )
        )


def _end_with_parent() -> None:
    """Without this, a run would go on computing for nobody after its parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _limit_memory(memory_bytes: int | None) -> None:
    if memory_bytes is None or sys.platform == "win32":
        return
    with contextlib.suppress(OSError, ValueError):  # macOS knows the limit but does not take it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
