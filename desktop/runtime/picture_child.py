"""A child process that decodes for the screen what the window itself cannot."""

import importlib
import multiprocessing
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from desktop.runtime.screen_wire import receive_picture
from desktop.views import ScreenPicture

__all__ = ["PictureChild"]

_PATIENCE_S = 60.0
_GLANCE_S = 0.25


class PictureChild:
    """Started when it is first needed, and again after it died of a picture. For any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    def read(self, path: Path, side: int) -> ScreenPicture | None:
        """Upright, the longer side at most `side`; None where there is nothing to show. Blocking."""
        with self._turn:
            if self._closed:
                return None
            try:
                connection = self._connection or self._start()
                connection.send((str(path), side))
                if self._has_answered(connection):
                    return receive_picture(connection)
            except (EOFError, OSError):
                pass  # it died of this picture: the next one gets a new child
            self._end()
            return None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """Whoever still waits for a picture gets none."""
        self._closed = True
        with self._turn:
            self._end()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._connection, far_end = context.Pipe()
        self._process = context.Process(
            target=_begin, args=(far_end,), name="safelight-pictures", daemon=True
        )
        self._process.start()
        far_end.close()  # so that either side hears when the other is gone
        return self._connection

    def _has_answered(self, connection: Connection) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while not connection.poll(_GLANCE_S):
            if self._closed or time.monotonic() > deadline:
                return False
        return True

    def _end(self) -> None:
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
        self._process = self._connection = None


def _begin(connection: Connection) -> None:
    """In the child, where Pillow's codecs are loaded."""
    importlib.import_module("desktop.runtime.screen_pictures").serve(connection)
