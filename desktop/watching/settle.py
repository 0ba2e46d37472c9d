"""When a file counts as finished. Pure: evidence and clock readings in, a decision out."""

from dataclasses import dataclass
from enum import StrEnum

from desktop.store.ledger import FileStamp
from desktop.watching.leases import Writers
from desktop.watching.mounts import Mount

__all__ = ["Evidence", "Patience", "Quiet", "Ready", "Wait", "give_up_at", "is_trusted", "settle"]

_COARSE_NS = 2_000_000_000  # FAT and some network shares keep times to two seconds
_FINE_NS = 20_000_000  # the kernel's tick, with room


class Evidence(StrEnum):
    """What speaks for a file being finished."""

    CLOSED = "closed"  # the system reported the close after writing, or that it was moved in
    SEEN = "seen"  # it lies there


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds. `undecodable_s`: how long a file that does not decode waits for a change."""

    quiet_local_s: float = 2.0
    quiet_network_s: float = 10.0
    undecodable_s: float = 30.0
    writer_s: float = 1.0

    def quiet_s(self, mount: Mount) -> float:
        return self.quiet_network_s if mount is Mount.NETWORK else self.quiet_local_s


@dataclass(frozen=True, slots=True)
class Quiet:
    """The file has looked like this since a moment of the monotonic clock."""

    stamp: FileStamp
    since: float


@dataclass(frozen=True, slots=True)
class Ready:
    pass


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at `until`, remembering `quiet`."""

    until: float
    quiet: Quiet | None = None


def settle(
    stamp: FileStamp,
    *,
    evidence: Evidence,
    writers: Writers,
    mount: Mount,
    quiet: Quiet | None,
    now: float,
    patience: Patience,
) -> Ready | Wait:
    if writers is Writers.SOME:
        return Wait(now + patience.writer_s)
    if evidence is Evidence.CLOSED:
        return Ready()
    # A lease knows nothing of writers on other machines.
    if writers is Writers.NONE and mount is Mount.LOCAL:
        return Ready()
    if quiet is None or quiet.stamp != stamp:
        quiet = Quiet(stamp, now)
    until = quiet.since + patience.quiet_s(mount)
    return Ready() if now >= until else Wait(until, quiet)


def give_up_at(stamp: FileStamp, *, now: float, wall_ns: int, patience: Patience) -> float:
    """When a file that does not decode goes to the error list; it has waited since its last change."""
    waited_s = (wall_ns - stamp.mtime_ns) / 1e9
    return now + patience.undecodable_s - min(max(waited_s, 0.0), patience.undecodable_s)


def is_trusted(stamp: FileStamp, *, wall_ns: int) -> bool:
    """Whether a later change must show in the stamp: not while the clock of the disk stands still."""
    coarse = stamp.mtime_ns % 1_000_000_000 == 0
    return wall_ns - stamp.mtime_ns > (_COARSE_NS if coarse else _FINE_NS)
