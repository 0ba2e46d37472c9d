"""The Qt-free core, built once for the window or for a command."""

from desktop.runtime.build import open_runtime
from desktop.runtime.runtime import Runtime

__all__ = ["Runtime", "open_runtime"]
