"""The `safelight` command: the window when called alone or with files, else a command."""

import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["COMMANDS", "files_to_open", "main"]

# Known without loading them: the window comes first.
COMMANDS = frozenset({"develop", "doctor", "engines", "jobs", "presets", "run", "watch"})


def main() -> None:
    if hasattr(sys, "frozen"):
        import multiprocessing

        multiprocessing.freeze_support()  # a child process of a frozen program comes in here
    files = files_to_open(sys.argv[1:])
    if files is None:
        from desktop.cli.app import run_command

        sys.exit(run_command())
    from desktop.app import run_app

    sys.exit(run_app(files))


def files_to_open(arguments: Sequence[str]) -> tuple[Path, ...] | None:
    """What the window is opened with; None where a command is meant, which wins over a file of its name."""
    if not arguments:
        return ()
    if arguments[0] in COMMANDS or not Path(arguments[0]).exists():
        return None
    return tuple(Path(argument) for argument in arguments)


if __name__ == "__main__":
    main()
