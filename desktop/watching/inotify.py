"""The kernel's inotify, as thin as it is: watches in, events out (Linux only, loaded when used)."""

import ctypes
import errno
import os
import select
import struct
from collections.abc import Callable
from enum import IntFlag
from typing import NamedTuple

__all__ = ["Inotify", "InotifyEvent", "Mask", "WatchesExhausted"]

_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 18


class Mask(IntFlag):
    """inotify(7)."""

    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    UNMOUNT = 0x2000
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    DONT_FOLLOW = 0x2000000
    ISDIR = 0x40000000


class WatchesExhausted(Exception):
    """The system grants no more watches: fs.inotify.max_user_watches or max_user_instances is used up."""


class InotifyEvent(NamedTuple):
    watch: int
    mask: int
    name: str


class Inotify:
    """One instance; `read` blocks until events or `wake` come. Raises WatchesExhausted."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._call(self._libc.inotify_init1, os.O_CLOEXEC | os.O_NONBLOCK)
        self._woken, self._waker = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def add(self, path: str, mask: int) -> int:
        """Watch one folder; the same folder gives the same number again. Raises OSError."""
        return self._call(self._libc.inotify_add_watch, self._fd, os.fsencode(path), mask)

    def remove(self, watch: int) -> None:
        self._libc.inotify_rm_watch(self._fd, watch)

    def read(self) -> list[InotifyEvent] | None:
        """The next events, or None once `wake` was called."""
        if any(handle == self._woken for handle, _ in self._poll.poll()):
            return None
        try:
            data = os.read(self._fd, _BUFFER_BYTES)
        except BlockingIOError:
            return []
        return _parse(data)

    def wake(self) -> None:
        os.write(self._waker, b"\0")

    def close(self) -> None:
        for handle in (self._fd, self._woken, self._waker):
            os.close(handle)

    def _call(self, function: Callable[..., int], *arguments: object) -> int:
        result = function(*arguments)
        if result >= 0:
            return result
        number = ctypes.get_errno()
        if number in {errno.ENOSPC, errno.EMFILE}:
            raise WatchesExhausted(os.strerror(number))
        raise OSError(number, os.strerror(number))


def _parse(data: bytes) -> list[InotifyEvent]:
    events: list[InotifyEvent] = []
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        name = data[at : at + length].rstrip(b"\0")
        events.append(InotifyEvent(watch, mask, os.fsdecode(name)))
        at += length
    return events
