"""The operator's own command that restarts a GPU server which hangs."""

import asyncio
import contextlib
import os
import shlex

import structlog

__all__ = ["RestartHook"]

_log = structlog.get_logger(__name__)

_PATIENCE_S = 120.0


class RestartHook:
    """Without a command, nothing is done. The command learns of the server by two variables."""

    def __init__(self, command: str | None) -> None:
        self._words = shlex.split(command or "")

    async def restart(self, name: str, url: str) -> None:
        """Returns when the command has ended, well or not; it is not waited for without end."""
        if not self._words:
            return
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                env=os.environ | {"SAFELIGHT_SERVER_NAME": name, "SAFELIGHT_SERVER_URL": url},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            _log.error("restart_command_failed", server=name, reason=error.strerror)
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                code = await process.wait()
        except TimeoutError:
            code = None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        _log.warning("server_restarted", server=name, exit_code=code)
