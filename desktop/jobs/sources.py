"""Input files: described when a job is submitted, checked again when it begins."""

import re
from collections.abc import Sequence
from pathlib import Path

from desktop.store.job import Job, JobInput
from shared.engines.base import InputFile
from shared.errors import UsageError
from shared.files import digest_file
from shared.ids import derived_key

__all__ = [
    "SourceChanged",
    "SourceUnreadable",
    "checked_input",
    "describe_input",
    "given_inputs",
    "source_digest",
    "with_names",
]


class SourceUnreadable(UsageError):
    code = "source_unreadable"


class SourceChanged(UsageError):
    """The file is not the one that was submitted: submit it again."""

    code = "source_changed"


def describe_input(path: Path, *, slot: str, field: str | None = None) -> JobInput:
    """Blocking. Raises SourceUnreadable naming the file."""
    try:
        before = path.stat()
        digest = digest_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return JobInput(
        slot=slot,
        field=field,
        path=path,
        digest=digest,
        name=path.name,
        bytes=before.st_size,
        modified_ns=before.st_mtime_ns,
    )


def source_digest(inputs: Sequence[JobInput]) -> str:
    """What the inputs hold, as one digest: of a single file, its own."""
    first, *others = inputs
    if not others:
        return first.digest
    return derived_key(first.digest, *(part for item in others for part in (item.slot, item.digest)))


def checked_input(item: JobInput, *, thoroughly: bool = False) -> InputFile:
    """The file for the engine, if its content is still what was submitted. Blocking.

    `thoroughly` reads it even where size and time have stayed. Raises SourceUnreadable, SourceChanged.
    """
    try:
        now = item.path.stat()
        touched = (now.st_size, now.st_mtime_ns) != (item.bytes, item.modified_ns)
        if (touched or thoroughly) and digest_file(item.path) != item.digest:
            raise SourceChanged(
                f"{item.name} was changed after it was submitted: submit it again", file=item.name
            )
    except OSError as error:
        raise _unreadable(item.path, error) from error
    return InputFile(path=item.path, digest=item.digest, name=item.name)


def given_inputs(job: Job) -> list[InputFile]:
    """The files as they were submitted, for a run that is prepared at once: staging reads them again."""
    return [InputFile(path=item.path, digest=item.digest, name=item.name) for item in job.order.inputs]


def with_names(job: Job, message: str) -> str:
    """An engine's message, with the files under the names that the user knows, not those of staging."""
    for item in job.order.inputs:
        for staged in re.findall(rf"{item.digest}(?:\.\w+)?", message):
            message = message.replace(staged, item.name)
    return message


def _unreadable(path: Path, error: OSError) -> SourceUnreadable:
    reason = (
        "it is no longer there" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
    )
    return SourceUnreadable(f"{path} cannot be read: {reason}", file=str(path))
