"""Named places where a test may kill, stall or break a process: `FAILPOINT=name:kill`.

Several are separated by commas; the action is kill, raise, or sleep=<seconds>. Without the variable
a failpoint is one comparison.
"""

import os
import signal
import time

from shared.errors import FatalError

__all__ = ["FailpointHit", "failpoint"]

_SET = {
    name: action
    for name, _, action in (part.partition(":") for part in os.environ.get("FAILPOINT", "").split(","))
    if name
}


class FailpointHit(FatalError):
    code = "failpoint"


def failpoint(name: str) -> None:
    if not _SET or name not in _SET:
        return
    action, _, amount = _SET[name].partition("=")
    match action:
        case "kill":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        case "sleep":
            time.sleep(float(amount))
        case _:
            raise FailpointHit(f"failpoint {name}")
