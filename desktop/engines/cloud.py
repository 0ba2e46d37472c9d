"""The Safelight cloud as an engine: the same steps, carried by its API.

The run's own id is the Idempotency-Key, so that a submission whose answer was lost, or a new
process, finds the same job again. What the server cannot know, that a run was cancelled before it
was submitted or that its results were dropped here, is noted in a folder on this machine.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import structlog

from desktop.engines.cloud_errors import engine_errors
from desktop.engines.cloud_quote import CloudQuote, quote_of
from desktop.engines.cloud_run import RunEvents, RunNotes
from shared.api.jobs import Job, JobAccepted, JobInput, JobRequest
from shared.engines.base import (
    Capabilities,
    EngineUnavailable,
    GraphWork,
    InputFile,
    OutputRejected,
    PresetWork,
    RunLost,
    Ticket,
    Work,
    WorkRefused,
)
from shared.engines.outputs import verify_output
from shared.errors import JsonValue, TransientError
from shared.files import digest_bytes, digest_file, staged_file
from shared.ids import new_id
from shared.jobs.events import Cancelled, Completed, Failed, JobEvent, Output
from shared.jobs.state import is_terminal
from shared.legible import plain_name
from shared.sdk.client import CloudClient
from shared.sdk.errors import DownloadBroken, NotFound, RequestRefused
from shared.sdk.forms import SentFile
from shared.sdk.open_submission import OpenSubmission
from shared.sdk.operations import Download

__all__ = ["CloudEngine"]

_log = structlog.get_logger()

_CANCEL_POLL_S = 0.2
_MOST_FILES = 16
_MOST_BYTES = 1 << 20  # up to here, sending costs less than asking first
_NOT_UPLOADED = "input_not_ready"


class CloudEngine:
    """Runs presets at one cloud; raw graphs are refused there."""

    def __init__(self, *, server_url: str, api_key: str | None, state_folder: Path) -> None:
        self._server_url = server_url
        self._api_key = api_key
        self._notes = RunNotes(state_folder)
        self._opened: CloudClient | None = None
        self._job_ids: dict[str, str] = {}  # of the runs that this process has started
        self._submissions: dict[str, OpenSubmission] = {}  # of the runs that this process has prepared
        self._is_well = False  # as far as was heard: it took what was asked last

    @property
    def name(self) -> str:
        return "cloud"

    async def capabilities(self) -> Capabilities:
        with self._heard(), engine_errors():
            await self._client().list_presets()
        return Capabilities()

    async def quote(self, preset_id: str) -> CloudQuote | None:
        """None for a preset that the cloud does not have. Raises EngineUnavailable."""
        with engine_errors():
            try:
                quote = await self._client().get_quote(preset_id)
            except NotFound:
                return None
            return quote_of(quote, await self._client().get_credits())

    async def prepare(self, work: Work) -> Ticket:
        match work:
            case GraphWork():
                raise WorkRefused(
                    "the cloud runs presets, not graphs of one's own; use --engine builtin or comfy"
                )
            case PresetWork():
                return await self._prepare(work)

    async def start(self, ticket: Ticket) -> None:
        """A run that was cancelled meanwhile is not begun, or is ended again at once."""
        if self._notes.is_cancelled(ticket):
            return
        with self._heard(), engine_errors():
            accepted = await self._submitted(ticket)
        self._job_ids[ticket.run_id] = accepted.id
        if self._notes.is_cancelled(ticket):
            await self.cancel(ticket)

    async def follow(self, ticket: Ticket) -> AsyncIterator[JobEvent]:
        if self._notes.is_forgotten(ticket):
            raise _lost(ticket)
        with engine_errors():
            job_id = self._job_ids.get(ticket.run_id) or await self._found_id(ticket)
            if job_id is None:
                yield self._end_before_start(ticket)
                return
            events = RunEvents(ticket)
            async for event in self._client().events(job_id, self._submissions.get(ticket.run_id)):
                seen = events.translated(event)
                if isinstance(seen, Completed):
                    yield await self._checked(ticket, job_id, seen)
                elif seen is not None:
                    yield seen

    async def cancel(self, ticket: Ticket) -> None:
        self._notes.note_cancelled(ticket)
        with engine_errors():
            job = await self._client().find_job(idempotency_key=ticket.run_id)
            if job is None or is_terminal(job.state):
                return
            job = await self._client().cancel_job(job.id)
            while not is_terminal(job.state):
                await asyncio.sleep(_CANCEL_POLL_S)
                job = await self._client().get_job(job.id)

    async def fetch(self, ticket: Ticket, output: Output, sink: BinaryIO) -> None:
        path = self._notes.output_path(ticket, output.digest)
        if not path.exists():
            with engine_errors():
                job = await self._found(ticket)
                await self._download(ticket, job, output)
        if await asyncio.to_thread(digest_file, path) != output.digest:
            path.unlink()
            raise OutputRejected(f"{output.name} was damaged on this disk", file=output.name)
        with path.open("rb") as file:
            await asyncio.to_thread(shutil.copyfileobj, file, sink)

    async def forget(self, ticket: Ticket) -> None:
        self._job_ids.pop(ticket.run_id, None)
        await self._close_submission(ticket)
        await asyncio.to_thread(self._notes.note_forgotten, ticket)

    async def aclose(self) -> None:
        await asyncio.gather(*(submission.aclose() for submission in self._submissions.values()))
        self._submissions.clear()
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = None

    def _client(self) -> CloudClient:
        if self._api_key is None:
            raise EngineUnavailable(
                "the cloud needs an API key: set SAFELIGHT_API_KEY, or keep one in the keyring",
                server=self._server_url,
            )
        if self._opened is None:
            self._opened = CloudClient(server_url=self._server_url, api_key=self._api_key)
        return self._opened

    async def _prepare(self, work: PresetWork) -> Ticket:
        """To a cloud that is well, few and small files go out in the request that will submit the job;
        others ahead of it."""
        files = [(name, file) for name, files in work.inputs.items() for file in files]
        ticket = Ticket(
            engine=self.name,
            run_id=new_id(),
            job_id=work.job_id,
            attempt=work.attempt,
            details={
                "server_url": self._server_url,
                "request": _request(work),
                "files": {file.digest: str(file.path) for _, file in files},
            },
        )
        sent = await asyncio.to_thread(_small_files, files) if self._is_well else None
        with self._heard(), engine_errors():
            if sent is None:
                await self._upload(ticket)
                return ticket
            submission = self._client().open_submission(sent, idempotency_key=ticket.run_id)
            self._submissions[ticket.run_id] = submission
            try:
                await submission.reach()
            except BaseException:
                await self._close_submission(ticket)
                raise
        return ticket

    async def _submitted(self, ticket: Ticket) -> JobAccepted:
        """By the request that is open, or else by one of its own. Raises RunLost where files that the
        cloud lacks are no longer here."""
        request = JobRequest.model_validate(ticket.details["request"])
        submission = self._submissions.get(ticket.run_id)
        if submission is not None and not submission.is_submitted:
            try:
                return await submission.submit(request)
            except TransientError as error:
                _log.info("submission_broke_off", error=error.code, job=ticket.job_id)
        try:
            return await self._client().submit_job(request, idempotency_key=ticket.run_id)
        except RequestRefused as error:
            if error.wire_code != _NOT_UPLOADED:
                raise
        await self._upload(ticket)
        return await self._client().submit_job(request, idempotency_key=ticket.run_id)

    async def _upload(self, ticket: Ticket) -> None:
        files = ticket.details.get("files")
        for digest, path in files.items() if isinstance(files, Mapping) else ():
            try:
                await self._client().upload_artifact(Path(str(path)), digest)
            except OSError as error:
                raise RunLost(f"{Path(str(path)).name} can no longer be sent", job=ticket.job_id) from error

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except EngineUnavailable:
            self._is_well = False
            raise
        self._is_well = True

    async def _close_submission(self, ticket: Ticket) -> None:
        submission = self._submissions.pop(ticket.run_id, None)
        if submission is not None:
            await submission.aclose()

    async def _found_id(self, ticket: Ticket) -> str | None:
        job = await self._client().find_job(idempotency_key=ticket.run_id)
        return None if job is None else job.id

    async def _found(self, ticket: Ticket) -> Job:
        job = None
        if not self._notes.is_forgotten(ticket):
            job = await self._client().find_job(idempotency_key=ticket.run_id)
        if job is None:
            raise _lost(ticket)
        return job

    def _end_before_start(self, ticket: Ticket) -> JobEvent:
        if not self._notes.is_cancelled(ticket):
            raise _lost(ticket)
        return Cancelled(job_id=ticket.job_id, attempt=ticket.attempt, at=datetime.now(UTC))

    async def _checked(self, ticket: Ticket, job_id: str, end: Completed) -> JobEvent:
        """The end once every output is here and whole; a failure if one is not."""
        job = await self._client().get_job(job_id)
        try:
            for output in end.outputs:
                await self._download(ticket, job, output)
        except (OutputRejected, DownloadBroken) as error:
            return Failed(
                job_id=end.job_id,
                attempt=end.attempt,
                at=end.at,
                code=OutputRejected.code,
                message=error.message,
                retryable=False,
            )
        return end

    async def _download(self, ticket: Ticket, job: Job, output: Output) -> None:
        path = self._notes.output_path(ticket, output.digest)
        if path.exists():
            return
        link = next((known.download for known in job.outputs if known.digest == output.digest), None)
        if link is None:
            raise OutputRejected(f"the cloud no longer has {output.name}", file=output.name)
        with staged_file(path.parent) as (file, temporary):
            await self._client().download(Download(link, output.digest, output.name), file)
            file.flush()
            await asyncio.to_thread(verify_output, temporary, name=output.name, kind=output.kind)
            temporary.replace(path)


def _request(work: PresetWork) -> Mapping[str, JsonValue]:
    request = JobRequest(
        preset=work.preset.manifest.id,
        preset_version=work.preset.manifest.version,
        inputs={
            name: [JobInput(digest=file.digest, name=plain_name(file.name)) for file in files]
            for name, files in work.inputs.items()
        },
        values=dict(work.values),
    )
    return request.model_dump(mode="json")


def _small_files(files: Sequence[tuple[str, InputFile]]) -> list[SentFile] | None:
    """None if they are too many or too large for one request. Raises WorkRefused if one has changed."""
    try:
        if len(files) > _MOST_FILES or sum(file.path.stat().st_size for _, file in files) > _MOST_BYTES:
            return None
        sent = [SentFile(name, file.path.read_bytes()) for name, file in files]
    except OSError as error:
        raise WorkRefused(f"a file cannot be read ({error.strerror}); look at the folder it is in") from error
    for (_, file), read in zip(files, sent, strict=True):
        if digest_bytes(read.data) != file.digest:
            raise WorkRefused(f"{file.name} was changed while it was sent; submit it again", file=file.name)
    return sent


def _lost(ticket: Ticket) -> RunLost:
    return RunLost("the cloud does not know this run", job=ticket.job_id)
