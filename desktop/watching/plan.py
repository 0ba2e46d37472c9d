"""What to do about what is seen, as a pure function of disk and ledger. No plan touches a user's file."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from desktop.store.ledger import FileStamp, Sighting, Stamp
from desktop.watching.scanner import Scan

__all__ = ["Facts", "Handled", "New", "Plan", "Renamed", "Verdict", "is_familiar", "judge", "plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """`read` are paths whose content is not known from their stamp, in order of name.

    `withdraw` are paths whose queued job has lost its file.
    """

    read: tuple[str, ...]
    withdraw: tuple[str, ...]


def plan(scan: Scan, known: Mapping[str, Stamp], queued: Collection[str]) -> Plan:
    return Plan(
        read=tuple(sorted(path for path, stamp in scan.files.items() if known.get(path) != stamp)),
        withdraw=tuple(path for path in queued if path not in scan.files and scan.knows_about(path)),
    )


def is_familiar(files: Mapping[str, Stamp], known: Mapping[str, Stamp]) -> bool:
    """Whether another folder in the source's place holds its files; nothing known is nothing to lose.

    A disk that was unplugged and mounted again has new numbers and its old files.
    """
    return not known or any(path in known and known[path][:2] == stamp[:2] for path, stamp in files.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that decides over one file just read.

    `former` is what was last seen at its path; `moved` are sightings of its inode at paths that
    hold that inode no more; `queued` are the ledger keys whose job has not begun. `digest` includes
    the file's partners, which are `partners_untouched` if they, too, were there at the set-up.
    """

    path: str
    stamp: FileStamp
    digest: str
    generation: int
    handled: bool
    former: Sighting | None
    moved: Sequence[Sighting]
    queued: Collection[str]
    partners_untouched: bool = True


@dataclass(frozen=True, slots=True)
class Handled:
    """Nothing to run. `withdraw` is the ledger key of a queued run of what the path held before."""

    withdraw: str | None = None


@dataclass(frozen=True, slots=True)
class Renamed:
    """The file that was at `old`. A run of it that has not begun is `withdraw`n and comes again."""

    old: Sighting
    withdraw: str | None = None


@dataclass(frozen=True, slots=True)
class New:
    """A version to run, in place of the queued run `withdraw` if there is one."""

    withdraw: str | None = None


Verdict = Handled | Renamed | New


def judge(facts: Facts) -> Verdict:
    if facts.handled:
        return Handled(_superseded(facts))
    old = next((sighting for sighting in facts.moved if _is_same_file(sighting, facts)), None)
    if old is not None:
        return Renamed(old, old.key if old.key in facts.queued else None)
    if _is_untouched_baseline(facts):
        return Handled()
    return New(_superseded(facts))


def _superseded(facts: Facts) -> str | None:
    former = facts.former
    if former is None or former.key not in facts.queued or former.digest == facts.digest:
        return None
    return former.key


def _is_same_file(sighting: Sighting, facts: Facts) -> bool:
    """Inodes are given out again, so the time must agree as well."""
    return (
        sighting.path != facts.path
        and sighting.generation >= facts.generation
        and sighting.stamp == facts.stamp
        and sighting.digest in {None, facts.digest}
        and (sighting.digest is None) == (sighting.key is None)  # else it was only a partner
    )


def _is_untouched_baseline(facts: Facts) -> bool:
    former = facts.former
    return (
        former is not None
        and facts.partners_untouched
        and former.digest is None
        and former.generation >= facts.generation
        and former.stamp == facts.stamp
    )
