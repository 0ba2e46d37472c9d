"""Files on this machine as inputs of jobs, and outputs of jobs as files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from shared.api.batches import BatchAccepted, BatchItem, BatchRequest
from shared.api.jobs import Job, JobAccepted, JobInput, JobOutput, JobRequest
from shared.errors import JsonValue
from shared.files import digest_file, staged_file
from shared.jobs.events import OutputKind
from shared.naming import fold_name, free_name, safe_name
from shared.sdk.operations import Download, Sent, download, submit_batch, submit_job, upload_artifact
from shared.sdk.transport import Steps

__all__ = [
    "FileInputs",
    "NamedFile",
    "Values",
    "named_files",
    "save_outputs",
    "submit_file_batch",
    "submit_files",
]

FileInputs = Mapping[str, Path | Sequence[Path]]
Values = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file for the input `input` of a preset."""

    input: str
    path: Path
    digest: str


def named_files(files: FileInputs) -> tuple[NamedFile, ...]:
    """Reads them all, for their digests."""
    return tuple(
        NamedFile(name, path, digest_file(path))
        for name, given in files.items()
        for path in ([given] if isinstance(given, Path) else given)
    )


def submit_files(
    preset: str, files: Sequence[NamedFile], values: Values, idempotency_key: str, on_sent: Sent | None
) -> Steps[JobAccepted]:
    """One job on the files, once the cloud has them."""
    yield from _upload(files, on_sent)
    request = JobRequest(preset=preset, inputs=_inputs(files), values=dict(values))
    return (yield from submit_job(request, idempotency_key))


def submit_file_batch(
    preset: str,
    items: Sequence[Sequence[NamedFile]],
    values: Values,
    idempotency_key: str,
    on_sent: Sent | None,
) -> Steps[BatchAccepted]:
    """One job on the files of each item, once the cloud has them all."""
    yield from _upload([file for item in items for file in item], on_sent)
    request = BatchRequest(
        preset=preset, items=[BatchItem(inputs=_inputs(item)) for item in items], values=dict(values)
    )
    return (yield from submit_batch(request, idempotency_key))


def save_outputs(job: Job, folder: Path) -> Steps[tuple[Path, ...]]:
    """The job's outputs, but no previews, as new files of the folder, named after the job's first input:
    nothing is overwritten.

    Raises DownloadBroken if other bytes came than were promised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved: tuple[Path, ...] = ()
    for output in job.outputs:
        if output.kind is not OutputKind.PREVIEW:
            saved = (*saved, (yield from _save(job, output, folder)))
    return saved


def _upload(files: Sequence[NamedFile], on_sent: Sent | None) -> Steps[None]:
    """Each content once."""
    for file in {file.digest: file for file in files}.values():
        yield from upload_artifact(file.path, file.digest, on_sent)


def _inputs(files: Sequence[NamedFile]) -> dict[str, list[JobInput]]:
    inputs: dict[str, list[JobInput]] = {}
    for file in files:
        inputs.setdefault(file.input, []).append(JobInput(digest=file.digest, name=file.path.name))
    return inputs


def _save(job: Job, output: JobOutput, folder: Path) -> Steps[Path]:
    with staged_file(folder) as (file, temporary):
        yield from download(Download(output.download, output.digest, output.name), file)
        file.flush()
        taken = {fold_name(path.name) for path in folder.iterdir()}
        path = folder / free_name(safe_name(_name(job, output)), taken)
        temporary.replace(path)
    return path


def _name(job: Job, output: JobOutput) -> str:
    first = next((file.name for files in job.inputs.values() for file in files), output.name)
    return PurePath(first).stem + PurePath(output.name).suffix
