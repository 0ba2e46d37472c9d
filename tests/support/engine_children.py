"""The children of a process in which the built-in engine works."""

import psutil

__all__ = ["engine_children"]


def engine_children(pid: int) -> list[psutil.Process]:
    """Not multiprocessing's resource tracker, nor what ends in this moment."""
    return [child for child in psutil.Process(pid).children() if "spawn_main" in _command(child)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
