"""Fetches the files that jobs name by URL: each becomes an artifact of the account, as if it had been
uploaded, and with the last one its job gets in line.

A process that dies on the way leaves the file to the next as soon as its lease is over, and one that is told
to stop at once. What cannot be had ends the job.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from cloud.clients.blob import BlobStore, artifact_key
from cloud.clients.inspection import Refusal
from cloud.clients.inspector import Inspector
from cloud.clients.queue import Bell, Queue, Waiter
from cloud.clients.safe_http import AnswerRefused, SafeHttp, SiteUnreachable
from cloud.clients.user_url import AddressRefused
from cloud.errors import InputNotReady, InvalidRequest, TooLarge
from cloud.repositories.artifacts import ArtifactFacts
from cloud.repositories.database import Database
from cloud.repositories.fetches import Fetch
from cloud.repositories.jobs import InputName
from cloud.repositories.unit import Unit
from cloud.services.endings import Ending, Endings
from cloud.services.inputs import check_inputs, check_pictures, check_sizes
from cloud.services.leases import under_lease
from cloud.services.plans import entitlements_of
from shared.errors import SafelightError, TransientError
from shared.failpoints import failpoint
from shared.files import staged_file
from shared.jobs.events import Failed
from shared.jobs.state import JobState
from shared.presets.bundle import Preset

__all__ = ["INPUT_UNAVAILABLE", "InputFetcher"]

_log = structlog.get_logger(__name__)

INPUT_UNAVAILABLE = "input_unavailable"
_AT_ONCE = 16
_EACH_AT_ONCE = 4
_STEPS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
)
_REFUSALS = (AddressRefused, AnswerRefused)


@dataclass(frozen=True, slots=True)
class _Came:
    """A file that is stored."""

    digest: str
    facts: ArtifactFacts


class InputFetcher:
    """`max_bytes` is what any plan takes, `try_s` how long one file may take to come."""

    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        blobs: BlobStore,
        inspector: Inspector,
        http: SafeHttp,
        endings: Endings,
        presets: Mapping[str, Preset],
        max_bytes: int,
        lease: timedelta,
        try_s: float,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._blobs = blobs
        self._inspector = inspector
        self._http = http
        self._endings = endings
        self._presets = presets
        self._max_bytes = max_bytes
        self._lease = lease
        self._try_s = try_s
        self._utcnow = utcnow
        self._busy: Counter[str] = Counter()

    async def run(self, *, poll_s: float = 5.0) -> None:
        """Until cancelled: whenever there is something to fetch, and now and then without a bell."""
        with self._queue.listen(Bell.FETCHES) as waiter:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        await self._begin(group, waiter)
                    except TransientError as error:
                        _log.warning("inputs_not_fetched", error=error.code)
                    await waiter.wait(poll_s)

    async def begin_alone(self) -> None:
        """At the start of a process that is the only one: what is taken, the dead had."""
        await self._database.write(lambda unit: unit.fetches.release())

    async def fetch_due(self) -> int:
        """One round; how many files were tried."""
        async with asyncio.TaskGroup() as group:
            return await self._begin(group, Waiter())

    async def forget(self) -> int:
        """What nobody waits for any more; how many."""
        return await self._database.write(lambda unit: unit.fetches.forget_ended())

    async def _begin(self, group: asyncio.TaskGroup, waiter: Waiter) -> int:
        """Whoever is done rings, since there may be more for the place that it leaves."""
        free = _AT_ONCE - self._busy.total()
        if free <= 0:
            return 0
        busy, since = dict(self._busy), asyncio.get_running_loop().time()
        taken = await self._database.write(
            lambda unit: unit.fetches.take(most=free, each=_EACH_AT_ONCE, busy=busy, lease=self._lease)
        )
        for fetch in taken:
            self._busy[fetch.account_id] += 1
            group.create_task(self._handle(fetch, waiter, since), name=f"fetch-{fetch.job_id}")
        if taken:
            failpoint("fetch.taken")
        return len(taken)

    async def _handle(self, fetch: Fetch, waiter: Waiter, since: float) -> None:
        def renew(unit: Unit) -> bool:
            return unit.fetches.renew(fetch, self._lease)

        try:
            lease_s = self._lease.total_seconds()
            async with under_lease(lambda: self._database.write(renew), lease_s=lease_s, since=since):
                came = await self._tried(fetch)
            await self._note(fetch, came)
        except TransientError as error:
            _log.warning("fetch_not_noted", job=fetch.job_id, error=error.code)
        except asyncio.CancelledError:
            await self._let_go(fetch)
            raise
        finally:
            self._busy[fetch.account_id] -= 1
            self._busy += Counter()  # drops what is at zero
            waiter.ring()

    async def _let_go(self, fetch: Fetch) -> None:
        with contextlib.suppress(TransientError):
            if await self._database.write(lambda unit: unit.fetches.let_go(fetch)):
                await self._queue.ring(Bell.FETCHES)

    async def _tried(self, fetch: Fetch) -> _Came | SafelightError:
        try:
            return await self._stored(fetch)
        except SafelightError as error:
            return error

    async def _note(self, fetch: Fetch, came: _Came | SafelightError) -> None:
        if isinstance(came, SafelightError):
            await self._note_failure(fetch, came)
            return
        ended = await self._database.write(lambda unit: self._arrived(unit, fetch, came))
        failpoint("fetch.noted")
        await self._queue.ring(Bell.EVENTS if ended else Bell.JOBS)

    async def _stored(self, fetch: Fetch) -> _Came:
        """Raises what the account's own upload would, and what SafeHttp does."""
        most = min(self._max_bytes, entitlements_of(fetch.plan).max_upload_bytes)
        with staged_file(self._blobs.staging_folder) as (file, path):
            got = await self._http.fetch(fetch.url, file, max_bytes=most, timeout_s=self._try_s)
            failpoint("fetch.received")
            found = await self._inspector.inspect(path, digest=got.digest, size=got.bytes)
            if isinstance(found, Refusal):
                raise AnswerRefused(found.message)
            await self._database.write(
                lambda unit: unit.artifacts.announce(fetch.account_id, got.digest, got.bytes)
            )
            failpoint("fetch.announced")
            await self._blobs.adopt(artifact_key(fetch.account_id, got.digest), path)
            failpoint("fetch.stored")
        return _Came(got.digest, ArtifactFacts(found.media_type, found.width, found.height))

    async def _note_failure(self, fetch: Fetch, error: SafelightError) -> None:
        wait = _wait(fetch, error)
        _log.info("fetch_failed", job=fetch.job_id, tries=fetch.tries, code=error.code)
        if wait is not None:
            await self._database.write(
                lambda unit: unit.fetches.again(fetch, after=wait, problem=error.message)
            )
            return
        retryable = not isinstance(error, _REFUSALS)
        await self._database.write(lambda unit: self._fail(unit, fetch, error.message, retryable=retryable))
        failpoint("fetch.failed")
        await self._queue.ring(Bell.EVENTS)

    def _arrived(self, unit: Unit, fetch: Fetch, came: _Came) -> bool:
        """True if that ended the job."""
        unit.artifacts.accept(fetch.account_id, came.digest, came.facts)
        left = unit.fetches.arrived(fetch, came.digest)
        if left != 0:
            return False
        try:
            self._check(unit, fetch)
        except (InvalidRequest, InputNotReady, TooLarge) as error:
            return self._end(unit, fetch, error.message, retryable=False)
        unit.fetches.enter(fetch)
        return False

    def _check(self, unit: Unit, fetch: Fetch) -> None:
        """Now that all files are known. Raises what a submission would."""
        job = unit.jobs.find(fetch.account_id, fetch.job_id)
        if job is None:
            return
        files = [file for files in job.inputs.values() for file in files]
        digests = {file.digest for file in files if isinstance(file, InputName)}
        known = {artifact.digest: artifact for artifact in unit.artifacts.for_use(fetch.account_id, digests)}
        preset = self._presets.get(job.preset_id)
        if preset is None:
            check_pictures(job.inputs, known)
        else:
            check_inputs(preset.manifest, job.inputs, known)
        check_sizes(entitlements_of(fetch.plan), job.inputs, known)

    def _fail(self, unit: Unit, fetch: Fetch, problem: str, *, retryable: bool) -> None:
        if unit.fetches.is_held(fetch):
            self._end(unit, fetch, f"{fetch.name} could not be fetched: {problem}", retryable=retryable)

    def _end(self, unit: Unit, fetch: Fetch, message: str, *, retryable: bool) -> bool:
        ended = unit.waiting.end(
            fetch.account_id,
            fetch.job_id,
            JobState.FAILED,
            failure_code=INPUT_UNAVAILABLE,
            failure_message=message,
            failure_retryable=retryable,
        )
        unit.fetches.drop(fetch.job_id)
        if ended is None:
            return False
        event = Failed(
            job_id=fetch.job_id,
            attempt=ended.attempt,
            at=self._utcnow(),
            code=INPUT_UNAVAILABLE,
            message=message,
            retryable=retryable,
        )
        self._endings.note(unit, Ending.of(ended, event))
        return True


def _wait(fetch: Fetch, error: SafelightError) -> timedelta | None:
    """Until the next try; None if there is none."""
    if not error.retryable or fetch.tries > len(_STEPS):
        return None
    step = _STEPS[fetch.tries - 1]
    asked = error.retry_after if isinstance(error, SiteUnreachable) else None
    return max(step, asked or step)
