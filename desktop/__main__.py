"""The `safelight` command: the window when called alone, else a command."""

import sys

__all__ = ["main"]


def main() -> None:
    if len(sys.argv) > 1:
        from desktop.cli.app import run_command

        sys.exit(run_command())
    from desktop.app import run_app

    sys.exit(run_app())


if __name__ == "__main__":
    main()
