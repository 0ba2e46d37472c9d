"""From a path in a hot folder to a journalled job: read, judged against the ledger, submitted once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, assert_never

from desktop.jobs.queue import JobChange
from desktop.store.ledger import FileStamp, Sighting
from desktop.store.twins import Twins
from desktop.watching.arrivals import Arrival, Arrivals, Phase
from desktop.watching.book import Book, Version
from desktop.watching.doubts import Doubts
from desktop.watching.hot_folder import HotFolder
from desktop.watching.inspection import Absent, Changed, Odd, Unready, Verified, verify
from desktop.watching.mounts import Mount
from desktop.watching.notices import Notice, NoticeKind, Notify
from desktop.watching.partners import Lacking, Pair, Pairing, PairLook, PartnerUnready
from desktop.watching.plan import Facts, Handled, New, Renamed, judge
from desktop.watching.settle import Evidence, Quiet
from desktop.watching.withdrawals import Withdrawals
from shared.errors import UsageError
from shared.jobs.state import is_terminal
from shared.media import MediaTooLarge

__all__ = ["Intake"]

_T = TypeVar("_T")
_SOON_S = 0.1
_UNREADABLE_S = 30.0
_PARTNER_S = 60.0  # its arrival is told; this is for the case that it was missed
_TWIN_S = 5.0  # the end of the first run is told; this is for the case that it was missed


@dataclass(frozen=True, slots=True)
class _Look:
    """`verified` None: not looked into, because the file may well be one that is known."""

    found: PairLook
    verified: Verified | None


class Intake:
    """`in_place` says whether the source folder is where it was; if not, nothing counts as gone."""

    def __init__(
        self,
        *,
        folder: HotFolder,
        mount: Callable[[], Mount],
        book: Book,
        withdrawals: Withdrawals,
        arrivals: Arrivals,
        doubts: Doubts,
        threads: Executor,
        notify: Notify,
        in_place: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._mount = mount
        self._book = book
        self._withdrawals = withdrawals
        self._arrivals = arrivals
        self._doubts = doubts
        self._threads = threads
        self._notify = notify
        self._in_place = in_place
        self._pairing = Pairing(folder)
        self._known_inodes: set[int] = set()
        self._first_runs: set[str] = set()  # content digests
        self._held: dict[str, list[str]] = {}  # content digest → paths that wait for its first run

    def remember(self, inodes: set[int]) -> None:
        """Files of these inodes may be old acquaintances: they are read, and decoded only if new."""
        self._known_inodes |= inodes

    def heard(self, change: JobChange) -> None:
        """A listener of the queue: the first run of a content has ended, its other names may follow."""
        if is_terminal(change.job.state):
            self._first_runs.discard(change.job.order.source_digest)
            for path in self._held.pop(change.job.order.source_digest, ()):
                self._arrivals.add(path, Evidence.SEEN)

    async def work(self) -> None:
        """Take arrivals in, one after the other, until cancelled. Several may work at once."""
        while True:
            path, arrival = await self._arrivals.next()
            await self._take(path, arrival)

    async def gone(self, path: str) -> None:
        """Nothing of that name is there: call a queued run of it off."""
        self._arrivals.drop(path)
        if self._pairing.is_partner(path):
            await self._nudge_leaders(path)
            return
        sighting = await self._book.sighting(path)
        if sighting is not None and sighting.key is not None and await self._in_thread(self._in_place):
            await self._withdrawals.withdraw_queued(sighting.key)

    async def _nudge_leaders(self, path: str) -> None:
        """A partner starts nothing: it is looked at with the file that it goes along with."""
        for leader in await self._in_thread(lambda: self._pairing.leaders_of(path)):
            self._arrivals.nudge(leader)

    async def _take(self, path: str, arrival: Arrival) -> None:
        if self._pairing.is_partner(path):
            await self._nudge_leaders(path)
            self._arrivals.finish(path)  # only now: a single pass must not take it for dealt with
            return
        look = await self._in_thread(lambda: self._look(path, arrival))
        now = time.monotonic()
        if arrival.told is not None and isinstance(look.found, Absent | Pair):
            arrival.told = None
            await self._book.forget_waiting(path)
        match look.found:
            case Absent():
                self._arrivals.finish(path)
                await self.gone(path)
            case Odd(reason, may_pass=True):
                self._notify(Notice(NoticeKind.UNREADABLE, f"{path} cannot be read: {reason}", path))
                self._arrivals.put_off(path, arrival, Phase.HELD, now + _UNREADABLE_S)
            case Odd(reason):
                self._notify(Notice(NoticeKind.SKIPPED, f"{path} is left alone: it is {reason}", path))
                self._arrivals.finish(path)
            case Changed():
                self._arrivals.put_off(path, arrival, Phase.SETTLING, now + _SOON_S)
            case Unready(wait):
                arrival.quiet = wait.quiet
                phase = Phase.HELD if wait.quiet is None else Phase.SETTLING
                self._arrivals.put_off(path, arrival, phase, wait.until)
            case PartnerUnready(wait):
                phase = Phase.HELD if wait.quiet is None else Phase.SETTLING
                self._arrivals.put_off(path, arrival, phase, wait.until)
            case Lacking():
                await self._wait_for_partner(path, arrival, look.found)
            case Pair():
                version = self._book.version(path, look.found)
                if await self._decide(version, arrival, look.verified):
                    self._arrivals.finish(path)
            case _:
                assert_never(look.found)

    def _look(self, path: str, arrival: Arrival) -> _Look:
        found = self._pairing.look(
            path,
            evidence=arrival.evidence,
            mount=self._mount(),
            quiet=arrival.quiet,
            quiets=arrival.partners,
        )
        if isinstance(found, Pair) and found.content.stamp.inode not in self._known_inodes:
            return _Look(found, self._verify(path, found.content.stamp))
        return _Look(found, None)

    def _verify(self, path: str, stamp: FileStamp) -> Verified:
        return verify(self._folder.source / path, stamp, thoroughly=self._doubts.has(path))

    async def _wait_for_partner(self, path: str, arrival: Arrival, lacking: Lacking) -> None:
        """A partner that went away after the file was dealt with is not missed."""
        if await self._book.knows(path, lacking.stamp):
            self._arrivals.finish(path)
        elif lacking.until is not None:
            self._arrivals.put_off(path, arrival, Phase.SETTLING, lacking.until)
        else:
            if arrival.told != lacking.message:
                arrival.told = lacking.message
                self._notify(Notice(NoticeKind.WAITING, lacking.message, path))
                await self._book.note_waiting(path, lacking.message)
            self._arrivals.put_off(path, arrival, Phase.PARTNER, time.monotonic() + _PARTNER_S)

    async def _decide(self, version: Version, arrival: Arrival, verified: Verified | None) -> bool:
        """Whether the version is dealt with; if not, the file has been put off."""
        facts, twins = await self._facts(version)
        verdict = judge(facts)
        match verdict:
            case Renamed(_, withdraw=str(key)):
                # Its run is called off first; then the file is new under its new name.
                await self._withdrawals.withdraw_queued(key)
                self._arrivals.put_off(version.path, arrival, Phase.SETTLING, time.monotonic() + _SOON_S)
                return False
            case Renamed(old):
                await self._book.rename(old, version)
            case Handled():
                if facts.handled and (version.partners or not _is_up_to_date(facts)):
                    await self._book.see(version)
            case New():
                if not await self._take_new(version, arrival, verified, twins):
                    return False
            case _:
                assert_never(verdict)
        if verdict.withdraw is not None:
            await self._withdrawals.withdraw_queued(verdict.withdraw)
        return True

    async def _facts(self, version: Version) -> tuple[Facts, Twins]:
        inode = version.stamp.inode
        known = await self._book.look_up(version, with_inode=inode in self._known_inodes)
        self._known_inodes.add(inode)
        moved: tuple[Sighting, ...] = ()
        if known.elsewhere:
            moved = await self._in_thread(lambda: self._moved(version.path, known.elsewhere))
        keys = {item.key for item in (known.former, *moved) if item is not None and item.key is not None}
        facts = Facts(
            path=version.path,
            stamp=version.stamp,
            digest=version.digest,
            generation=self._book.generation,
            handled=known.handled,
            former=known.former,
            moved=moved,
            queued=await self._withdrawals.queued(keys) if keys else frozenset(),
            partners_untouched=known.partners_untouched,
        )
        return facts, known.twins

    def _moved(self, path: str, elsewhere: tuple[Sighting, ...]) -> tuple[Sighting, ...]:
        """Those whose own place holds the inode no more.

        Where case does not count, the old spelling still opens the file: one name, not two.
        """
        return tuple(
            item
            for item in elsewhere
            if (links := self._links(item)) == 0 or (links == 1 and item.path.casefold() == path.casefold())
        )

    def _links(self, sighting: Sighting) -> int:
        """How many names the file has, if it is still at its place."""
        try:
            status = (self._folder.source / sighting.path).lstat()
        except OSError:
            return 0
        return status.st_nlink if status.st_ino == sighting.stamp.inode else 0

    async def _take_new(
        self, version: Version, arrival: Arrival, verified: Verified | None, twins: Twins
    ) -> bool:
        if verified is None:
            verified = await self._in_thread(lambda: self._verify(version.path, version.stamp))
        stamp, verified = await self._with_partners(version, verified)
        match verified:
            case Changed():
                self._arrivals.put_off(version.path, arrival, Phase.SETTLING, time.monotonic() + _SOON_S)
                return False
            case UsageError():
                return await self._take_broken(version, arrival, stamp, verified)
            case lineage if self._folder.id in lineage:
                message = f"{version.path} came out of this hot folder and is not run again"
                self._notify(Notice(NoticeKind.LOOP, message, version.path))
                await self._book.leave_alone(version)
            case _ if self._is_first_run_open(version.digest, twins):
                self._held.setdefault(version.digest, []).append(version.path)
                self._arrivals.put_off(version.path, arrival, Phase.TWIN, time.monotonic() + _TWIN_S)
                return False
            case lineage:
                await self._submit(version, lineage, twins)
        return True

    async def _with_partners(self, version: Version, verified: Verified) -> tuple[FileStamp, Verified]:
        """What is wrong with the first bad file of the pair, and the stamp of that file."""
        if version.partners and isinstance(verified, tuple):
            flaw = await self._in_thread(lambda: self._pairing.verify(version.partners))
            if flaw is not None:
                return flaw
        return version.stamp, verified

    async def _submit(self, version: Version, lineage: tuple[str, ...], twins: Twins) -> None:
        if twins is Twins.NONE:
            self._first_runs.add(version.digest)
        self._doubts.dispel(version.path)
        try:
            await self._book.submit(version, lineage, is_first=twins is Twins.NONE)
        except BaseException:
            self._first_runs.discard(version.digest)
            raise

    def _is_first_run_open(self, digest: str, twins: Twins) -> bool:
        """The journal may not yet know of a run that was submitted since it was asked."""
        return twins is Twins.OPEN or (twins is Twins.NONE and digest in self._first_runs)

    async def _take_broken(
        self, version: Version, arrival: Arrival, stamp: FileStamp, error: UsageError
    ) -> bool:
        now = time.monotonic()
        is_news = arrival.broken is None or arrival.broken.stamp != stamp
        if arrival.broken is None or is_news:
            arrival.broken = Quiet(stamp, now)
        seconds = self._doubts.seconds_left(arrival.broken)
        if seconds <= 0 or arrival.impatient or isinstance(error, MediaTooLarge):
            await self._book.refuse(version, error)
            return True
        if is_news:
            self._doubts.tell(version.path, error.message, seconds)
        self._arrivals.put_off(version.path, arrival, Phase.BROKEN, now + seconds)
        return False

    async def _in_thread(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)


def _is_up_to_date(facts: Facts) -> bool:
    former = facts.former
    return (
        former is not None
        and former.trusted
        and former.stamp == facts.stamp
        and former.digest == facts.digest
        and former.generation >= facts.generation
    )
