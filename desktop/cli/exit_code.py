"""The exit codes of every command."""

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    DONE = 0
    SOME_FAILED = 1  # or still wait
    USAGE = 2
    NO_ENGINE = 3
    INTERRUPTED = 130
