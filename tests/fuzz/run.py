"""Schemathesis over the whole API of a real process: with a key, and with another account's."""

import subprocess
import sys
from pathlib import Path

from tests.support.cloud_processes import CloudProcesses

__all__ = ["fuzz"]

_ROOT = Path(__file__).parents[2]
_PROGRAM = Path(sys.executable).with_name("st")
_STREAMS = "events$"  # without end


def fuzz(folder: Path, *options: str, accounts: str = "ab") -> tuple[str, bool]:
    """What it says, and whether all went well; `options` are those of `st run`."""
    said, good = [], True
    processes = CloudProcesses(folder, {"SAFELIGHT_LOG_LEVEL": "error"})
    try:
        for name in accounts:
            processes.run("users", "create", f"{name}@example.com", "--plan", "studio")
        keys = [processes.run("keys", "create", "--user", f"{name}@example.com") for name in accounts]
        processes.serve("--no-worker")
        for key in keys:
            command = _command(processes.url, key, *options)
            done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
            said.append(done.stdout)
            good = good and done.returncode == 0
    finally:
        processes.close()
    faults = [line for line in processes.logs().splitlines() if "fault" in line]
    return "\n".join([*said, *faults]), good and not faults


def _command(url: str, key: str, *options: str) -> list[str]:
    return [
        str(_PROGRAM),
        "run",
        f"{url}/api/v1/openapi.json",
        *("--header", f"Authorization: Bearer {key}"),
        *("--exclude-path-regex", _STREAMS),
        *("--request-timeout", "20"),
        *options,
    ]
