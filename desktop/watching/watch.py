"""A hot folder at work: watcher, scans and intake together, until told to end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import assert_never

from desktop.jobs.queue import JobChange, JobQueue
from desktop.store import ledger as rows
from desktop.store.database import Database
from desktop.store.waiting import clear_waiting
from desktop.watching.arrivals import Arrivals, Phase
from desktop.watching.book import Book
from desktop.watching.changes import Change, ChangeKind
from desktop.watching.doubts import Doubts
from desktop.watching.guards import FolderLock
from desktop.watching.hot_folder import HotFolder
from desktop.watching.intake import Intake
from desktop.watching.names import Skip
from desktop.watching.notices import Notice, NoticeKind, Notify
from desktop.watching.plan import plan
from desktop.watching.scanner import FolderIdentity, Scan, SourceMissing
from desktop.watching.settle import Evidence
from desktop.watching.setup import Page, open_page, save_page
from desktop.watching.sleep import Moment, slept
from desktop.watching.source import Presence, Source
from desktop.watching.tally import Tally, tally
from desktop.watching.withdrawals import Withdrawals

__all__ = ["FolderWatch", "open_watch"]

_THREADS = 3
_WORKERS = 12
_TICK_S = 1.0
_RECONCILE_S = 300.0
_POLL_S = 5.0
_SCAN_SHARE = 20  # a poll may take a twentieth of the time
_ONCE_CHECK_S = 0.1
_DELIVERY_S = 15.0  # to try a delivery that was blocked before; another process may look after it


@asynccontextmanager
async def open_watch(
    folder: HotFolder,
    *,
    database: Database,
    queue: JobQueue,
    locks: Path,
    notify: Notify,
    accept_new_source: bool = False,
    now: Callable[[], Moment] = Moment.now,
) -> AsyncIterator["FolderWatch"]:
    """The hot folder, held by this process while inside. Raises FolderBusy, SourceMissing.

    `accept_new_source`: whatever folder is in the source's place is the source from now on.
    """
    with FolderLock(locks, folder.id), ThreadPoolExecutor(_THREADS, "intake") as threads:
        page = await open_page(folder, database, accept_new=accept_new_source)
        book = Book(folder=folder, generation=page.generation, database=database, queue=queue)
        watch = FolderWatch(
            folder=folder,
            book=book,
            database=database,
            queue=queue,
            threads=threads,
            notify=notify,
            expected=page.identity,
            now=now,
        )
        unsubscribe = queue.subscribe(watch.heard)
        end_reprieves = queue.reprieves.open(folder.id, watch.doubts.term)
        try:
            async with asyncio.TaskGroup() as tasks:
                hands = [tasks.create_task(work) for work in watch.hands()]
                try:
                    await watch.begin()
                    yield watch
                finally:
                    await asyncio.to_thread(watch.source.unwatch)
                    for hand in hands:
                        hand.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group  # the first cause is what the caller can act on
        finally:
            end_reprieves()
            unsubscribe()


class FolderWatch:
    """Made by `open_watch`. `heard` listens to the queue; `hands` do the work in the background."""

    def __init__(
        self,
        *,
        folder: HotFolder,
        book: Book,
        database: Database,
        queue: JobQueue,
        threads: ThreadPoolExecutor,
        notify: Notify,
        expected: FolderIdentity,
        now: Callable[[], Moment],
    ) -> None:
        self._now = now
        self._folder = folder
        self._book = book
        self._database = database
        self._queue = queue
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._arrivals = Arrivals()
        self._gone: asyncio.Queue[str] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._job_changed = asyncio.Event()
        self._wants_scan = True
        self._scans = False
        self._undelivered: frozenset[str] = frozenset()  # that a delivery was not tried for since the begin
        self._presence = Presence.IN_PLACE
        self._skipped: dict[Skip, int] = {}
        self._there: frozenset[str] = frozenset()
        self.source = Source(folder=folder, identity=expected, report=self._report, notify=notify)
        self.doubts = Doubts(folder=folder, notify=notify)
        self._withdrawals = Withdrawals(
            folder=folder.id,
            database=database,
            queue=queue,
            come_back=self._come_back,
        )
        self._intake = Intake(
            folder=folder,
            mount=lambda: self.source.mount,
            book=book,
            withdrawals=self._withdrawals,
            arrivals=self._arrivals,
            doubts=self.doubts,
            threads=threads,
            notify=notify,
            in_place=self.source.is_in_place,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing that was seen still waits for its turn, or to be certain that it is finished."""
        on_their_way = self._arrivals.count(Phase.TURN, Phase.READING, Phase.SETTLING, Phase.TWIN)
        to_scan = (self._wants_scan and self._presence is Presence.IN_PLACE) or self._scans
        return not (on_their_way or self._gone.qsize() or self._withdrawals.is_busy or to_scan)

    def heard(self, change: JobChange) -> None:
        self._withdrawals.heard(change)
        self._intake.heard(change)
        self._undelivered -= {change.job.id}
        if change.job.order.batch == self._folder.id:
            self._job_changed.set()

    def hands(self) -> list[Coroutine[None, None, None]]:
        workers = [self._intake.work() for _ in range(_WORKERS)]
        return [*workers, self._withdrawals.run(), self._see_off()]

    async def begin(self) -> None:
        """Take over what a dead process left, and start to watch."""
        self._undelivered = await self._database.read(lambda c: rows.blocked_jobs(c, self._folder.id))
        await self._queue.adopt(batch=self._folder.id)
        await self._withdrawals.resume()
        await self._database.write(lambda c: clear_waiting(c, self._folder.id))
        seen = await self._database.read(lambda c: rows.known_stamps(c, self._folder.id, 0, all_seen=True))
        self._intake.remember({inode for _, _, inode in seen.values()})
        if await self._check_source():
            await asyncio.to_thread(self.source.watch)
            self._notify(Notice(NoticeKind.WATCHING, f"watching {self._folder.source}"))

    async def run(self) -> None:
        """Until cancelled."""
        scan_at = 0.0
        while True:
            if await self._check_source() and (self._wants_scan or time.monotonic() >= scan_at):
                scan_at = time.monotonic() + await self._reconcile()
            before = self._now()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            self._wants_scan |= slept(before, self._now(), expected_s=_TICK_S)

    async def run_once(self) -> Tally:
        """Until every file is done, failed or waiting."""
        self.doubts.hurries = True
        if not await self._check_source():
            return Tally(waiting=1)
        await self._reconcile()
        while True:
            await self._until_quiet()
            if not self._arrivals.count(Phase.BROKEN):
                break
            self._arrivals.hurry()
        jobs = await self._database.read(lambda c: rows.current_jobs(c, self._folder.id))
        in_place = await self._check_source()
        waiting = self._arrivals.count(Phase.HELD, Phase.PARTNER) + (not in_place)
        return tally(jobs, there=self._there, waiting=waiting)

    async def _until_quiet(self) -> None:
        """Returns when no file is on its way and no job open that can go on: not while its folder is away."""
        tried_by = time.monotonic() + _DELIVERY_S
        while True:
            self._job_changed.clear()
            in_place = await self._check_source()
            if in_place and self._wants_scan:
                await self._reconcile()
            tried = not self._undelivered or time.monotonic() >= tried_by
            if self.is_idle and tried and not await self._has_open_jobs(held=not in_place):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ONCE_CHECK_S):
                    await self._job_changed.wait()

    async def _has_open_jobs(self, *, held: bool) -> bool:
        return await self._database.read(lambda c: rows.has_open_jobs(c, self._folder.id, held=held))

    async def _reconcile(self) -> float:
        """Compare the disk with the ledger; returns the seconds until that is due again."""
        self._wants_scan, self._scans = False, True
        try:
            return await self._compare()
        finally:
            self._scans = False

    async def _compare(self) -> float:
        begun = time.monotonic()
        try:
            scan = await asyncio.to_thread(self.source.scan)
        except SourceMissing:
            return 0.0
        if not await asyncio.to_thread(self.source.is_in_place):  # else all would count as deleted
            return 0.0
        known = await self._database.read(
            lambda c: rows.known_stamps(c, self._folder.id, self._book.generation)
        )
        queued = await self._database.read(lambda c: rows.queued_paths(c, self._folder.id))
        steps = await asyncio.to_thread(plan, scan, known, queued.keys())
        self._intake.remember({inode for _, _, inode in known.values()})
        for path in steps.read:
            self._arrivals.add(path, Evidence.SEEN)
        for path in steps.withdraw:
            self._gone.put_nowait(path)
        self._there = frozenset(scan.files)
        self._tell_skipped(scan)
        took = time.monotonic() - begun
        return _RECONCILE_S if self.source.is_watched else max(_POLL_S, took * _SCAN_SHARE)

    async def _check_source(self) -> bool:
        """Whether the source is in its place; pauses or resumes the folder when that changed."""
        found = await asyncio.to_thread(self.source.presence)
        if found is Presence.REPLACED:
            known = await self._database.read(
                lambda c: rows.known_stamps(c, self._folder.id, 0, all_seen=True)
            )
            if await asyncio.to_thread(self.source.adopt_if_familiar, known):
                await save_page(
                    self._folder, Page(self.source.identity, self._book.generation), self._database
                )
                found = Presence.IN_PLACE
        if found is not self._presence:
            self._presence = found
            if found is Presence.IN_PLACE:
                await self._resume()
            else:
                await self._pause(found)
        return found is Presence.IN_PLACE

    async def _pause(self, found: Presence) -> None:
        await asyncio.to_thread(self.source.unwatch)
        source = self._folder.source
        if found is Presence.MISSING:
            message = f"{source} is not there: paused until it is back; nothing is forgotten"
        else:
            message = (
                f"in place of {source} is another folder with none of the files known here: paused until the "
                "old one is back; nothing is forgotten. If this is the source from now on, end this command "
                "and give it again with --accept-new-source"
            )
        self._notify(Notice(NoticeKind.PAUSED, message))

    async def _resume(self) -> None:
        await asyncio.to_thread(self.source.watch)
        self._wants_scan = True
        self._notify(Notice(NoticeKind.RESUMED, f"{self._folder.source} is back: going on"))

    async def _come_back(self, path: str) -> None:
        """Look again at a file whose run was called off; all are looked at when the source is back."""
        if await asyncio.to_thread(self.source.is_in_place):
            self._arrivals.add(path, Evidence.SEEN)

    async def _see_off(self) -> None:
        while True:
            await self._intake.gone(await self._gone.get())

    def _report(self, changes: Sequence[Change]) -> None:
        """Called on the watcher's thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._hear_changes, changes)

    def _hear_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if self._is_excluded(change.path):
                continue
            match change.kind:
                case ChangeKind.CLOSED:
                    self._arrivals.add(change.path, Evidence.CLOSED)
                case ChangeKind.FOUND:
                    self._arrivals.add(change.path, Evidence.SEEN)
                case ChangeKind.OPENED:
                    patience = self._folder.patience
                    self._arrivals.expect(change.path, time.monotonic() + patience.writer_s)
                case ChangeKind.GONE:
                    self._gone.put_nowait(change.path)
                case ChangeKind.RESCAN | ChangeKind.LOST:
                    self._wants_scan = True
                    self._wake.set()
                case ChangeKind.PROBED:
                    pass
                case ChangeKind.UNWATCHED:
                    self.source.note_unwatched("the system has no folder watches left")
                case _:
                    assert_never(change.kind)

    def _is_excluded(self, path: str) -> bool:
        return any(path.startswith(f"{folder}/") for folder in self._folder.excluded)

    def _tell_skipped(self, scan: Scan) -> None:
        """Counts, and only when they changed: left-alone files must not flood anybody."""
        counts = dict(scan.skipped)
        if counts != self._skipped:
            self._skipped = counts
            listed = ", ".join(f"{count} {skip}" for skip, count in sorted(counts.items()))
            self._notify(Notice(NoticeKind.SKIPPED, f"left alone: {listed or 'nothing'}"))
        for folder in scan.unread:
            self._notify(Notice(NoticeKind.UNREADABLE, f"the folder {folder} cannot be read", folder))
