"""When a file counts as finished. Pure: evidence and clock readings in, a decision out."""

from dataclasses import dataclass
from enum import StrEnum

from desktop.store.ledger import FileStamp
from desktop.watching.leases import Writers
from desktop.watching.mounts import Mount

__all__ = ["Evidence", "Patience", "Quiet", "Ready", "Wait", "give_up_at", "is_trusted", "settle"]

_COARSE_NS = 2_000_000_000  # FAT and some network shares keep times to two seconds


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


def give_up_at(broken: Quiet, *, now: float, wall_ns: int, patience: Patience) -> float:
    """When a file that does not decode goes to the error list; it has waited since its last change.

    The file's own time tells how long that is, unless it lies in the future.
    """
    waited_s = max((wall_ns - broken.stamp.mtime_ns) / 1e9, now - broken.since)
    return now + max(patience.undecodable_s - waited_s, 0.0)


def is_trusted(stamp: FileStamp, *, wall_ns: int) -> bool:
    """Whether a later change must show in the stamp: not within a coarse tick of the disk's clock."""
    return stamp.mtime_ns % 1_000_000_000 != 0 or wall_ns - stamp.mtime_ns > _COARSE_NS
