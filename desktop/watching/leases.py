"""Whether somebody still has a file open for writing, asked of the kernel (Linux)."""

import errno
import signal
import sys
from enum import StrEnum

__all__ = ["Writers", "writers_of"]

if sys.platform == "linux":
    import fcntl


class Writers(StrEnum):
    NONE = "none"
    SOME = "some"
    UNKNOWN = "unknown"


def writers_of(handle: int) -> Writers:
    """Ask for a read lease on a file opened read-only, and give it back at once.

    The kernel grants one only while nobody has the file open for writing; it refuses to tell for
    files of other users, and some file systems know no leases (fcntl(2), F_SETLEASE).
    """
    if sys.platform != "linux":
        return Writers.UNKNOWN
    try:
        # A writer that opens the file meanwhile makes the kernel signal the holder of the lease:
        # SIGURG is ignored by default, the usual SIGIO would end the process.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Writers.SOME if error.errno in {errno.EAGAIN, errno.EBUSY} else Writers.UNKNOWN
    fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Writers.NONE
