"""What the API offers, each as the requests it takes: the one core under both faces."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from shared.api.accounts import Account
from shared.api.artifacts import Artifact, ArtifactRequest, ArtifactState, Link
from shared.api.batches import Batch, BatchAccepted, BatchPage, BatchRequest
from shared.api.credits import CreditBalance, CreditEntryPage, Quote
from shared.api.jobs import Job, JobAccepted, JobDetail, JobPage, JobRequest
from shared.api.presets import PresetDetail, PresetList, PresetSummary
from shared.api.recipes import Recipe
from shared.api.waiting import JobWaiting
from shared.errors import JsonValue
from shared.sdk.errors import DownloadBroken, NotTheCloud, RequestRefused
from shared.sdk.exchange import Answer, Request
from shared.sdk.forms import JobForm
from shared.sdk.transport import Steps

__all__ = [
    "API",
    "WITH_FILES",
    "Download",
    "Sent",
    "cancel_batch",
    "cancel_job",
    "download",
    "find_job",
    "get_account",
    "get_artifact",
    "get_batch",
    "get_credits",
    "get_job",
    "get_preset",
    "get_quote",
    "get_recipe",
    "list_batches",
    "list_credit_entries",
    "list_jobs",
    "list_presets",
    "page_params",
    "retry_batch",
    "retry_job",
    "show_job",
    "submit_batch",
    "submit_job",
    "submit_with_files",
    "upload_artifact",
    "why_waiting",
]

API = "/api/v1"
WITH_FILES = f"{API}/jobs/with-files"
_DOWNLOADS = 3
_SENT_UNASKED_BYTES = 1 << 20  # up to here, sending costs less than asking first
_M = TypeVar("_M", bound=BaseModel)

Sent = Callable[[int], None]
"""Told how many bytes more have gone out; after a failure, they are sent and told again."""


@dataclass(frozen=True, slots=True)
class Download:
    """Bytes that were promised: where they are, and what they must be."""

    link: Link
    digest: str
    name: str


def upload_artifact(path: Path, digest: str, on_sent: Sent | None = None) -> Steps[Artifact]:
    """Make the file's bytes known to the cloud; those of a large file travel only if it has not got them.

    Raises RequestRefused with the cloud's reason if it will not have them.
    """
    size = path.stat().st_size
    if size <= _SENT_UNASKED_BYTES:
        headers = {"Content-Type": "application/octet-stream"}
        sent = Request(
            method="PUT", url=f"{API}/artifacts/{digest}", headers=headers, upload=path, on_sent=on_sent
        )
        return _taken(_read(Artifact, (yield sent)))
    announced = ArtifactRequest(digest=digest, bytes=size)
    artifact = _read(Artifact, (yield _post("artifacts", announced.model_dump(mode="json"))))
    if artifact.upload is not None and artifact.state is not ArtifactState.READY:
        yield Request(
            method=artifact.upload.method,
            url=artifact.upload.url,
            headers=artifact.upload.headers,
            upload=path,
            on_sent=on_sent,
            signed=True,
        )
        artifact = _read(Artifact, (yield _post(f"artifacts/{digest}/complete")))
    return _taken(artifact)


def submit_job(request: JobRequest, idempotency_key: str) -> Steps[JobAccepted]:
    """The same key and request give the same job, however often they are sent."""
    body = request.model_dump(mode="json", exclude_defaults=True)
    return _read(JobAccepted, (yield _post("jobs", body, idempotency_key)))


def submit_with_files(
    form: JobForm,
    request: JobRequest,
    idempotency_key: str,
    on_sent: Sent | None = None,
    *,
    followed: bool = False,
) -> Steps[JobAccepted]:
    """As submit_job, along with files that the request names by their digests. For few and small ones.
    Where it is `followed`, the frames of the job's events may follow."""
    headers = {"Content-Type": form.content_type, "Idempotency-Key": idempotency_key}
    answer = yield Request(
        method="POST",
        url=WITH_FILES,
        headers={**headers, "Accept": "text/event-stream"} if followed else headers,
        parts=(
            *((form.file_part(file), len(file.data)) for file in form.files),
            (form.job_part(request), 0),
        ),
        on_sent=on_sent,
        followed=followed,
    )
    return _read(JobAccepted, answer)


def get_job(job_id: str) -> Steps[Job]:
    return _read(Job, (yield _get(_job(job_id))))


def get_recipe(job_id: str, position: int) -> Steps[Recipe]:
    """How the job's output at this place among its outputs was made."""
    return _read(Recipe, (yield _get(f"{_job(job_id)}/outputs/{position}/recipe")))


def find_job(idempotency_key: str) -> Steps[Job | None]:
    """The job that was submitted with this key, if there is one."""
    page = yield from list_jobs({"idempotency_key": idempotency_key})
    return page.jobs[0] if page.jobs else None


def list_jobs(params: Mapping[str, str]) -> Steps[JobPage]:
    return _read(JobPage, (yield _get("jobs", params)))


def cancel_job(job_id: str) -> Steps[Job]:
    """Ask for the end; the job may still run for a moment, and may complete."""
    return _read(Job, (yield _post(f"{_job(job_id)}/cancel")))


def retry_job(job_id: str, idempotency_key: str) -> Steps[JobAccepted]:
    """A new job like this one."""
    return _read(JobAccepted, (yield _post(f"{_job(job_id)}/retry", {}, idempotency_key)))


def show_job(job_id: str) -> Steps[JobDetail]:
    """With its attempts and its receipt."""
    return _read(JobDetail, (yield _get(_job(job_id))))


def why_waiting(job_id: str) -> Steps[JobWaiting]:
    return _read(JobWaiting, (yield _get(f"{_job(job_id)}/waiting")))


def submit_batch(request: BatchRequest, idempotency_key: str) -> Steps[BatchAccepted]:
    """The same key and request give the same batch, however often they are sent."""
    body = request.model_dump(mode="json", exclude_defaults=True)
    return _read(BatchAccepted, (yield _post("batches", body, idempotency_key)))


def get_batch(batch_id: str) -> Steps[Batch]:
    return _read(Batch, (yield _get(_batch(batch_id))))


def list_batches(params: Mapping[str, str]) -> Steps[BatchPage]:
    return _read(BatchPage, (yield _get("batches", params)))


def cancel_batch(batch_id: str) -> Steps[Batch]:
    return _read(Batch, (yield _post(f"{_batch(batch_id)}/cancel")))


def retry_batch(batch_id: str, idempotency_key: str) -> Steps[BatchAccepted]:
    """A new batch of the jobs that did not complete."""
    return _read(BatchAccepted, (yield _post(f"{_batch(batch_id)}/retry", {}, idempotency_key)))


def get_artifact(digest: str) -> Steps[Artifact]:
    return _read(Artifact, (yield _get(f"artifacts/{quote(digest, safe='')}")))


def get_account() -> Steps[Account]:
    return _read(Account, (yield _get("account")))


def get_credits() -> Steps[CreditBalance]:
    return _read(CreditBalance, (yield _get("credits")))


def list_credit_entries(params: Mapping[str, str]) -> Steps[CreditEntryPage]:
    return _read(CreditEntryPage, (yield _get("credits/entries", params)))


def get_quote(preset_id: str) -> Steps[Quote]:
    """What one job would cost now, and how long its run should take."""
    return _read(Quote, (yield _get(f"presets/{quote(preset_id, safe='')}/quote")))


def list_presets() -> Steps[Sequence[PresetSummary]]:
    return _read(PresetList, (yield _get("presets"))).presets


def get_preset(preset_id: str) -> Steps[PresetDetail]:
    return _read(PresetDetail, (yield _get(f"presets/{quote(preset_id, safe='')}")))


def download(wanted: Download, sink: BinaryIO) -> Steps[None]:
    """Write the promised bytes into `sink`, a file that can be rewound. Raises DownloadBroken where
    others come again and again."""
    link, start = wanted.link, sink.tell()
    asked = Request(method=link.method, url=link.url, headers=link.headers, sink=sink, signed=True)
    for _ in range(_DOWNLOADS):
        sink.seek(start)
        sink.truncate()
        answer = yield asked
        if answer.digest == wanted.digest:
            return
    raise DownloadBroken(
        f"{wanted.name} arrived damaged {_DOWNLOADS} times; check the network, and fetch it again later",
        file=wanted.name,
    )


def page_params(cursor: str | None, **filters: str | None) -> dict[str, str]:
    """Of those that are given."""
    given = {"cursor": cursor, **filters}
    return {name: value for name, value in given.items() if value is not None}


def _taken(artifact: Artifact) -> Artifact:
    if artifact.problem is not None:
        raise RequestRefused(
            artifact.problem.message, wire_code=artifact.problem.code, digest=artifact.digest
        )
    return artifact


def _job(job_id: str) -> str:
    return f"jobs/{quote(job_id, safe='')}"


def _batch(batch_id: str) -> str:
    return f"batches/{quote(batch_id, safe='')}"


def _get(place: str, params: Mapping[str, str] = MappingProxyType({})) -> Request:
    return Request(method="GET", url=f"{API}/{place}", params=params)


def _post(
    place: str, body: Mapping[str, JsonValue] = MappingProxyType({}), idempotency_key: str | None = None
) -> Request:
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return Request(method="POST", url=f"{API}/{place}", json=dict(body), headers=headers)


def _read(model: type[_M], answer: Answer) -> _M:
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        raise NotTheCloud(
            "the server's answer is not one of the Safelight cloud of this version; check the server address"
        ) from error
