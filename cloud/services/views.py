"""Records as the wire models that clients see: nothing internal among them."""

from collections.abc import Collection, Sequence

from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.credits import Entry
from cloud.repositories.jobs import AttemptRecord, GivenFile, InputUrl, JobRecord
from cloud.services.lane_needs import labels_of
from cloud.services.links import Links
from cloud.services.plans import asked_priority
from shared.api.artifacts import Artifact, ArtifactState, Link, Problem
from shared.api.credits import EntryKind, PriceBasis, Receipt
from shared.api.jobs import Job, JobAttempt, JobDetail, JobFailure, JobInput, JobOutput
from shared.jobs.state import JobState

__all__ = ["artifact_view", "job_detail", "job_view"]


def job_view(job: JobRecord, links: Links) -> Job:
    return Job(
        id=job.id,
        state=job.state,
        stage=job.stage,
        preset=job.preset_id,
        preset_version=job.preset_version,
        inputs={name: [_input_view(file) for file in files] for name, files in job.inputs.items()},
        values=dict(job.values),
        priority=asked_priority(job.priority),
        labels=labels_of(job.models),
        attempt=job.attempt,
        cancelling=job.cancel_requested_at is not None
        and job.state in {JobState.PROCESSING, JobState.SAVING},
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        outputs=[_output_view(job, position, links) for position in range(len(job.outputs))],
        failure=_failure_view(job),
        retry_of=job.retry_of,
        idempotency_key=job.idempotency_key,
        price=job.price,
        expected_s=job.expected_s,
        expires_at=job.expires_at,
        batch=job.batch_id,
        status_url=links.job(job.id),
        events_url=links.events(job.id),
    )


def job_detail(
    job: JobRecord, attempts: Sequence[AttemptRecord], entries: Collection[Entry], links: Links
) -> JobDetail:
    """`entries` are the job's own."""
    at = {entry.kind: entry.at for entry in entries}
    return JobDetail(
        **dict(job_view(job, links)),
        attempts=[
            JobAttempt(
                number=attempt.number,
                engine=attempt.engine,
                engine_version=attempt.engine_version,
                server_class=attempt.server_class,
                claimed_at=attempt.claimed_at,
                started_at=attempt.begun_at,
                ended_at=attempt.ended_at,
                end=attempt.end,
            )
            for attempt in attempts
        ],
        receipt=Receipt(
            price=job.price,
            basis=None if job.price_basis is None else PriceBasis.model_validate_json(job.price_basis),
            reserved_at=at.get(EntryKind.RESERVE),
            captured_at=at.get(EntryKind.CAPTURE),
            released_at=at.get(EntryKind.RELEASE),
        ),
    )


def artifact_view(artifact: ArtifactRecord, *, upload: Link | None, download: Link | None) -> Artifact:
    problem = None
    if artifact.state is ArtifactState.REFUSED:
        problem = Problem(code=artifact.problem_code or "refused", message=artifact.problem_message or "")
    return Artifact(
        digest=artifact.digest,
        state=artifact.state,
        bytes=artifact.bytes,
        media_type=artifact.media_type,
        width=artifact.width,
        height=artifact.height,
        derived_from=artifact.derived_from,
        created_at=artifact.created_at,
        upload=upload,
        download=download,
        problem=problem,
    )


def _input_view(file: GivenFile) -> JobInput:
    if isinstance(file, InputUrl):
        return JobInput(url=file.url, name=file.name)
    return JobInput(digest=file.digest, name=file.name)


def _output_view(job: JobRecord, position: int, links: Links) -> JobOutput:
    output = job.outputs[position]
    return JobOutput(
        node=output.node,
        index=output.index,
        kind=output.kind,
        name=output.name,
        media_type=output.media_type,
        bytes=output.bytes,
        digest=output.digest,
        width=output.width,
        height=output.height,
        download=links.download(job.account_id, output.digest, output.bytes, output.media_type, output.name),
        recipe_url=links.recipe(job.id, position),
    )


def _failure_view(job: JobRecord) -> JobFailure | None:
    if job.state is not JobState.FAILED:
        return None
    return JobFailure(
        code=job.failure_code or "failed",
        message=job.failure_message or "",
        retryable=bool(job.failure_retryable),
    )
