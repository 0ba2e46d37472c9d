"""A job and its files in one request: the files are looked at as they come, the job is taken with them."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from cloud.clients.multipart import Part
from cloud.errors import InvalidRequest, TooLarge
from cloud.services.accepting import Submitted
from cloud.services.arrivals import Arrival
from cloud.services.artifacts import Artifacts
from cloud.services.callers import Caller, Scope
from cloud.services.jobs import Jobs
from shared.api.jobs import JobInput, JobRequest

__all__ = ["JOB_PART", "FileSubmissions"]

JOB_PART = "job"
_MOST_FILES = 64
_MOST_JOB_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _File:
    """`input` is the one of the preset that it was sent for."""

    input: str
    name: str
    arrival: Arrival


class FileSubmissions:
    def __init__(self, *, artifacts: Artifacts, jobs: Jobs) -> None:
        self._artifacts = artifacts
        self._jobs = jobs

    async def submit(
        self,
        caller: Caller,
        parts: AsyncIterator[Part],
        read: Callable[[bytes], JobRequest],
        *,
        key: str | None,
    ) -> Submitted:
        """The part `job` is the request, of which `read` knows the form; any other is a file for the input
        of its name, unless the request names its digest itself. All is taken, or the job is not.

        Raises InvalidRequest, TooLarge, BeingDeleted, and what `read` and Jobs.submit raise.
        """
        caller.require(Scope.WRITE)
        async with contextlib.AsyncExitStack() as stack:
            text, files = None, list[_File]()
            async for part in parts:
                if part.name == JOB_PART:
                    text = await _text(part)
                elif len(files) == _MOST_FILES:
                    raise InvalidRequest(f"at most {_MOST_FILES} files come with a job", field="inputs")
                else:
                    arrival = await stack.enter_async_context(self._artifacts.arriving(caller, part.chunks))
                    files.append(_File(part.name, part.file_name or part.name, arrival))
            if text is None:
                raise InvalidRequest("the form has no part named job, which is the request", field=JOB_PART)
            request = _with_files(read(text), files)
            names = {item.digest: item.name for items in request.inputs.values() for item in items}
            fresh = [
                await file.arrival.taken(field=f"inputs.{file.input}", name=names[file.arrival.digest])
                for file in files
            ]
            return await self._jobs.submit(caller, request, key=key, fresh=fresh)


async def _text(part: Part) -> bytes:
    text = bytearray()
    async for chunk in part.chunks:
        text += chunk
        if len(text) > _MOST_JOB_BYTES:
            raise TooLarge(f"at most {_MOST_JOB_BYTES} bytes are read of a job", max_bytes=_MOST_JOB_BYTES)
    return bytes(text)


def _with_files(request: JobRequest, files: Sequence[_File]) -> JobRequest:
    """With the files that it does not name itself."""
    inputs = {name: list(items) for name, items in request.inputs.items()}
    named = {item.digest for items in inputs.values() for item in items}
    for file in files:
        if file.arrival.digest not in named:
            inputs.setdefault(file.input, []).append(_as_input(file))
    return request.model_copy(update={"inputs": inputs})


def _as_input(file: _File) -> JobInput:
    try:
        return JobInput(digest=file.arrival.digest, name=file.name)
    except ValidationError as error:
        raise InvalidRequest(
            "a file's name has 1 to 255 characters, and none that cannot be seen",
            field=f"inputs.{file.input}",
        ) from error
