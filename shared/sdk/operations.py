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
from shared.sdk.transport import Steps

__all__ = [
    "API",
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
    "upload_artifact",
    "why_waiting",
]

API = "/api/v1"
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
    artifact = _read(Artifact, (yield _post(f"{API}/artifacts", announced.model_dump(mode="json"))))
    if artifact.upload is not None and artifact.state is not ArtifactState.READY:
        yield Request(
            method=artifact.upload.method,
            url=artifact.upload.url,
            headers=artifact.upload.headers,
            upload=path,
            on_sent=on_sent,
            signed=True,
        )
        artifact = _read(Artifact, (yield _post(f"{API}/artifacts/{digest}/complete", {})))
    return _taken(artifact)


def submit_job(request: JobRequest, idempotency_key: str) -> Steps[JobAccepted]:
    """The same key and request give the same job, however often they are sent."""
    answer = yield Request(
        method="POST",
        url=f"{API}/jobs",
        json=request.model_dump(mode="json", exclude_defaults=True),
        headers={"Idempotency-Key": idempotency_key},
    )
    return _read(JobAccepted, answer)


def get_job(job_id: str) -> Steps[Job]:
    return _read(Job, (yield Request(method="GET", url=f"{API}/jobs/{quote(job_id, safe='')}")))


def get_recipe(job_id: str, position: int) -> Steps[Recipe]:
    """How the job's output at this place among its outputs was made."""
    url = f"{API}/jobs/{quote(job_id, safe='')}/outputs/{position}/recipe"
    return _read(Recipe, (yield Request(method="GET", url=url)))


def find_job(idempotency_key: str) -> Steps[Job | None]:
    """The job that was submitted with this key, if there is one."""
    page = yield from list_jobs({"idempotency_key": idempotency_key})
    return page.jobs[0] if page.jobs else None


def list_jobs(params: Mapping[str, str]) -> Steps[JobPage]:
    return _read(JobPage, (yield Request(method="GET", url=f"{API}/jobs", params=params)))


def cancel_job(job_id: str) -> Steps[Job]:
    """Ask for the end; the job may still run for a moment, and may complete."""
    return _read(Job, (yield _post(f"{API}/jobs/{quote(job_id, safe='')}/cancel", {})))


def retry_job(job_id: str, idempotency_key: str) -> Steps[JobAccepted]:
    """A new job like this one."""
    answer = yield _keyed(f"{API}/jobs/{quote(job_id, safe='')}/retry", {}, idempotency_key)
    return _read(JobAccepted, answer)


def show_job(job_id: str) -> Steps[JobDetail]:
    """With its attempts and its receipt."""
    return _read(JobDetail, (yield _get(f"jobs/{quote(job_id, safe='')}")))


def why_waiting(job_id: str) -> Steps[JobWaiting]:
    return _read(JobWaiting, (yield _get(f"jobs/{quote(job_id, safe='')}/waiting")))


def submit_batch(request: BatchRequest, idempotency_key: str) -> Steps[BatchAccepted]:
    """The same key and request give the same batch, however often they are sent."""
    answer = yield _keyed(f"{API}/batches", request.model_dump(mode="json"), idempotency_key)
    return _read(BatchAccepted, answer)


def get_batch(batch_id: str) -> Steps[Batch]:
    return _read(Batch, (yield _get(f"batches/{quote(batch_id, safe='')}")))


def list_batches(params: Mapping[str, str]) -> Steps[BatchPage]:
    return _read(BatchPage, (yield _get("batches", params)))


def cancel_batch(batch_id: str) -> Steps[Batch]:
    return _read(Batch, (yield _post(f"{API}/batches/{quote(batch_id, safe='')}/cancel", {})))


def retry_batch(batch_id: str, idempotency_key: str) -> Steps[BatchAccepted]:
    """A new batch of the jobs that did not complete."""
    url = f"{API}/batches/{quote(batch_id, safe='')}/retry"
    return _read(BatchAccepted, (yield _keyed(url, {}, idempotency_key)))


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
    return _read(PresetList, (yield Request(method="GET", url=f"{API}/presets"))).presets


def get_preset(preset_id: str) -> Steps[PresetDetail]:
    return _read(
        PresetDetail, (yield Request(method="GET", url=f"{API}/presets/{quote(preset_id, safe='')}"))
    )


def download(wanted: Download, sink: BinaryIO) -> Steps[None]:
    """Write the promised bytes into `sink`. Raises DownloadBroken if others came."""
    answer = yield Request(
        method=wanted.link.method,
        url=wanted.link.url,
        headers=wanted.link.headers,
        sink=sink,
        signed=True,
    )
    if answer.digest != wanted.digest:
        raise DownloadBroken(f"{wanted.name} arrived damaged; it will be fetched again", file=wanted.name)


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


def _post(url: str, body: JsonValue) -> Request:
    return Request(method="POST", url=url, json=body)


def _get(place: str, params: Mapping[str, str] = MappingProxyType({})) -> Request:
    return Request(method="GET", url=f"{API}/{place}", params=params)


def _keyed(url: str, body: JsonValue, idempotency_key: str) -> Request:
    return Request(method="POST", url=url, json=body, headers={"Idempotency-Key": idempotency_key})


def _read(model: type[_M], answer: Answer) -> _M:
    try:
        return model.model_validate_json(answer.body)
    except ValidationError as error:
        raise NotTheCloud(
            "the server's answer is not one of the Safelight cloud of this version; check the server address"
        ) from error
