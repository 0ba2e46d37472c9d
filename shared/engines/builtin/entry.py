"""What a child process begins with. The parent imports this too, so it loads nothing heavy itself."""

import importlib
from multiprocessing.connection import Connection

from shared.media import MediaLimits

__all__ = ["DONE", "READY", "TOLD", "begin"]

# What a child says to its parent: ready for the first run, an event was written, a run is over.
READY, TOLD, DONE = b"ready", b"told", b"done"


def begin(connection: Connection, limits: MediaLimits, memory_bytes: int | None) -> None:
    """numpy and Pillow's codecs are loaded here, in the child alone."""
    importlib.import_module("shared.engines.builtin.child").serve(connection, limits, memory_bytes)
