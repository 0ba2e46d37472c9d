"""Files on this machine as inputs of jobs, and outputs of jobs as files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from shared.api.batches import BatchAccepted, BatchItem, BatchRequest
from shared.api.jobs import Job, JobAccepted, JobInput, JobOutput, JobRequest
from shared.errors import JsonValue
from shared.files import digest_bytes, digest_file, staged_file
from shared.jobs.events import OutputKind
from shared.legible import plain_name
from shared.naming import fold_name, free_name, safe_name
from shared.sdk.forms import JobForm, SentFile
from shared.sdk.operations import Download, Sent, download, submit_batch, submit_with_files, upload_artifact
from shared.sdk.transport import Steps

__all__ = [
    "FileInputs",
    "NamedFile",
    "Values",
    "files_of_job",
    "named_files",
    "save_outputs",
    "submit_file_batch",
    "submit_files",
]

FileInputs = Mapping[str, Path | Sequence[Path]]
Values = Mapping[str, JsonValue]

_MOST_SENT = 16
_MOST_SENT_BYTES = 1 << 20  # up to here, sending costs less than asking first


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file for the input `input` of a preset. `data` are its bytes, if they go out with the job."""

    input: str
    path: Path
    digest: str
    data: bytes | None = None


def named_files(files: FileInputs) -> tuple[NamedFile, ...]:
    """Reads them all, for their digests."""
    return tuple(NamedFile(name, path, digest_file(path)) for name, path in _given(files))


def files_of_job(files: FileInputs) -> tuple[NamedFile, ...]:
    """The same with the bytes of the first that are few and small enough to go out with one job."""
    named: list[NamedFile] = []
    room = _MOST_SENT_BYTES
    for place, (name, path) in enumerate(_given(files)):
        if place < _MOST_SENT and path.stat().st_size <= room:
            data = path.read_bytes()
            room -= len(data)
            named.append(NamedFile(name, path, digest_bytes(data), data))
        else:
            named.append(NamedFile(name, path, digest_file(path)))
    return tuple(named)


def submit_files(
    preset: str,
    files: Sequence[NamedFile],
    values: Values,
    idempotency_key: str,
    on_sent: Sent | None = None,
    *,
    followed: bool = False,
) -> Steps[JobAccepted]:
    """One job on the files, of which small ones go out with it, and others ahead of it. Where it is
    `followed`, the frames of its events may follow."""
    yield from _upload([file for file in files if file.data is None], on_sent)
    sent = {file.digest: SentFile(file.input, file.data) for file in files if file.data is not None}
    request = JobRequest(preset=preset, inputs=_inputs(files), values=dict(values))
    form = JobForm(tuple(sent.values()))
    return (yield from submit_with_files(form, request, idempotency_key, on_sent, followed=followed))


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


def _given(files: FileInputs) -> Iterator[tuple[str, Path]]:
    for name, given in files.items():
        for path in [given] if isinstance(given, Path) else given:
            yield name, path


def _upload(files: Sequence[NamedFile], on_sent: Sent | None) -> Steps[None]:
    """Each content once."""
    for file in {file.digest: file for file in files}.values():
        yield from upload_artifact(file.path, file.digest, on_sent)


def _inputs(files: Sequence[NamedFile]) -> dict[str, list[JobInput]]:
    inputs: dict[str, list[JobInput]] = {}
    for file in files:
        item = JobInput(digest=file.digest, name=plain_name(file.path.name))
        inputs.setdefault(file.input, []).append(item)
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
