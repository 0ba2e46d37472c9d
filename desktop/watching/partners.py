"""The other files of a pair, found beside the primary by their names and looked at as it is. Blocking."""

import stat
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from desktop.store.ledger import FileStamp
from desktop.watching.hot_folder import HotFolder
from desktop.watching.inspection import Absent, Changed, Content, Odd, Unready, Verified, inspect, verify
from desktop.watching.mounts import Mount
from desktop.watching.settle import Evidence, Quiet, Wait
from shared.media import READABLE_SUFFIXES
from shared.presets.manifest import PresetInput
from shared.presets.pairing import leaders, partner_names, wanted_partner

__all__ = ["Lacking", "Pair", "PairLook", "Pairing", "Partner", "PartnerUnready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A finished file for another input than the primary one; `path` is relative to the source."""

    slot: str
    path: str
    stamp: FileStamp
    digest: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """A partner is not there. `until` is when to go on without it; None: never."""

    stamp: FileStamp  # the primary's
    message: str
    until: float | None


@dataclass(frozen=True, slots=True)
class PartnerUnready:
    wait: Wait


@dataclass(frozen=True, slots=True)
class Pair:
    """The primary's content and all that goes along with it, which may be nothing."""

    __match_args__ = ("content", "partners")
    content: Content
    partners: tuple[Partner, ...] = ()


PairLook = Absent | Odd | Unready | Changed | Lacking | PartnerUnready | Pair


class Pairing:
    """What belongs together in one hot folder."""

    def __init__(self, folder: HotFolder) -> None:
        self._folder = folder
        self._others = tuple(item for item in folder.others if item.pair_by is not None)

    def is_partner(self, path: str) -> bool:
        """Whether the file only goes along with another one, there or not."""
        return bool(self._others) and bool(leaders(self._others, PurePosixPath(path).stem))

    def leaders_of(self, path: str) -> tuple[str, ...]:
        """The files in the folder that this one goes along with."""
        beside = PurePosixPath(path)
        return tuple(
            str(beside.with_name(stem + spelled))
            for stem in leaders(self._others, beside.stem)
            for suffix in READABLE_SUFFIXES
            for spelled in (suffix, suffix.upper())
            if _stamp_of(self._folder.source / beside.with_name(stem + spelled)) is not None
        )

    def look(
        self,
        path: str,
        *,
        evidence: Evidence,
        mount: Mount,
        quiet: Quiet | None,
        quiets: MutableMapping[str, Quiet],
    ) -> PairLook:
        """`quiets` remembers, by input, since when a partner has looked as it does, or was missed."""
        lacking = self._lacking(path, mount, quiets)
        if lacking is not None:
            return lacking
        full, patience = self._folder.source / path, self._folder.patience
        found = inspect(full, evidence=evidence, mount=mount, quiet=quiet, patience=patience)
        if not isinstance(found, Content):
            return found
        partners: list[Partner] = []
        for declared, beside in self._there(full):
            partner = inspect(
                beside, evidence=Evidence.SEEN, mount=mount, quiet=quiets.get(declared.id), patience=patience
            )
            match partner:
                case Content(stamp, digest):
                    place = str(PurePosixPath(path).with_name(beside.name))
                    partners.append(Partner(slot=declared.id, path=place, stamp=stamp, digest=digest))
                case Unready(wait):
                    if wait.quiet is not None:
                        quiets[declared.id] = wait.quiet
                    return PartnerUnready(wait)
                case Odd(reason, may_pass):
                    return Odd(f"{beside.name}: {reason}", may_pass)
                case _:
                    return Changed()  # since it was looked for
        return Pair(found, tuple(partners))

    def verify(self, partners: tuple[Partner, ...]) -> tuple[FileStamp, Verified] | None:
        """The first of them that does not decode, or was changed since."""
        for partner in partners:
            result = verify(self._folder.source / partner.path, partner.stamp, thoroughly=True)
            if not isinstance(result, tuple):
                return partner.stamp, result
        return None

    def _lacking(self, path: str, mount: Mount, quiets: MutableMapping[str, Quiet]) -> Lacking | None:
        full = self._folder.source / path
        there = {declared.id for declared, _ in self._there(full)}
        missing = [declared for declared in self._others if declared.id not in there]
        stamp = _stamp_of(full) if missing else None
        if stamp is None:
            return None
        now = time.monotonic()
        for declared in sorted(missing, key=lambda item: item.min_count, reverse=True):
            missed = quiets.setdefault(declared.id, Quiet(stamp, now))
            until = missed.since + self._folder.patience.quiet_s(mount)
            if declared.min_count > 0 or until > now:
                wanted = wanted_partner(declared, full)
                message = f"{path} waits for its {declared.label}: put a picture named {wanted} beside it"
                return Lacking(stamp, message, None if declared.min_count > 0 else until)
        return None

    def _there(self, full: Path) -> Iterator[tuple[PresetInput, Path]]:
        for declared in self._others:
            for name in partner_names(declared, full):
                if _stamp_of(full.with_name(name)) is not None:
                    yield declared, full.with_name(name)
                    break


def _stamp_of(path: Path) -> FileStamp | None:
    """None unless a regular file is there; links are not followed."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return FileStamp.of(status) if stat.S_ISREG(status.st_mode) else None
