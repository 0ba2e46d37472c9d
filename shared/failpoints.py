"""Named places where a test may kill, stall or break a process: `FAILPOINT=name:kill`.

Several are separated by commas; the action is kill, raise, or sleep=<seconds>. `FAILPOINT=@path` names
a file that holds them: it may come while the process runs, and whoever gets to such a place first takes
the file away. Without the variable a failpoint is one comparison.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from shared.errors import FatalError

__all__ = ["FailpointHit", "failpoint"]


def _parsed(text: str) -> Mapping[str, str]:
    parts = (part.strip().partition(":") for part in text.split(","))
    return {name: action for name, _, action in parts if name}


_GIVEN = os.environ.get("FAILPOINT", "")
_FILE = Path(_GIVEN[1:]) if _GIVEN.startswith("@") else None
_SET = {} if _FILE else _parsed(_GIVEN)


class FailpointHit(FatalError):
    code = "failpoint"


def failpoint(name: str) -> None:
    if not _GIVEN:
        return
    given = _SET.get(name) if _FILE is None else _taken(_FILE, name)
    if given is None:
        return
    action, _, amount = given.partition("=")
    match action:
        case "kill":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        case "sleep":
            time.sleep(float(amount))
        case _:
            raise FailpointHit(f"failpoint {name}")


def _taken(file: Path, name: str) -> str | None:
    """What is to happen here, for one of those who ask."""
    try:
        given = _parsed(file.read_text()).get(name)
        if given is not None:
            file.unlink()
    except FileNotFoundError:
        return None
    return given
