"""The command `safelight-cloud`."""

from cloud.cli.program import main

__all__ = ["main"]
