from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest
from PIL import Image

from desktop.jobs.causes import plain_cause
from desktop.store.job import GraphRecipe, Job, JobError, JobInput, NewJob, PresetRecipe
from shared.comfy.graph import parse_graph
from shared.jobs.events import Failed
from shared.jobs.state import JobState

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_GRAPH = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.effect_noise((64, 48), 80).save(path)
    return path


def _job(path: Path, *, engine: str = "builtin") -> Job:
    order = NewJob(
        key="k",
        batch="batch",
        recipe=PresetRecipe(preset_id="noir", version="1.0.0", digest="f" * 64, values={}),
        inputs=(JobInput(slot="photo", path=path, digest="d" * 64, name=path.name, bytes=1, modified_ns=0),),
        out_folder=Path("/out"),
        relative_path=PurePath(path.name),
        source=path,
        source_name=path.name,
        source_digest="d" * 64,
    )
    return Job(
        id="j", seq=1, order=order, state=JobState.PROCESSING, created_at=_NOW, attempt=1, engine=engine
    )


def _failed(code: str, message: str, *, retryable: bool = False) -> Failed:
    return Failed(job_id="j", attempt=1, at=_NOW, code=code, message=message, retryable=retryable)


def test_a_picture_that_does_not_decode_is_the_reason_whatever_the_engine_says(picture: Path) -> None:
    picture.write_bytes(picture.read_bytes()[:-100])

    cause = plain_cause(
        _job(picture, engine="comfy"),
        _failed("node_failed", "node 1 (LoadImage) failed on the server"),
    )

    says = "a.png is damaged or incomplete: copy it again from where it came"
    assert cause == JobError("broken_media", says, retryable=False)


@pytest.mark.parametrize(("engine", "where"), [("builtin", "on this computer"), ("comfy", "on the server")])
def test_want_of_memory_is_said_without_nodes(picture: Path, engine: str, where: str) -> None:
    failed = _failed("out_of_memory", "node 3 (KSampler) ran out of memory", retryable=True)

    cause = plain_cause(_job(picture, engine=engine), failed)

    says = f"there is not enough memory {where} for a.png: use a smaller copy"
    assert cause == JobError("out_of_memory", says, retryable=True)


def test_the_author_of_a_graph_hears_of_its_nodes(picture: Path) -> None:
    picture.write_bytes(picture.read_bytes()[:-100])
    job = _job(picture)
    job = replace(job, order=replace(job.order, recipe=GraphRecipe(parse_graph(_GRAPH))))
    says = "node 1 (LoadImage) failed: a.png is damaged or incomplete"

    cause = plain_cause(job, _failed("broken_media", says))

    assert cause == JobError("broken_media", says, retryable=False)


def test_other_words_of_the_engine_stay_with_the_files_own_name(picture: Path) -> None:
    cause = plain_cause(_job(picture), _failed("node_failed", f"{'d' * 64}.png is too small for the mask"))

    assert cause == JobError("node_failed", "a.png is too small for the mask", retryable=False)


def test_a_picture_that_is_gone_hides_no_reason(tmp_path: Path) -> None:
    cause = plain_cause(_job(tmp_path / "gone.png"), _failed("lost", "the engine forgot it"))

    assert cause == JobError("lost", "the engine forgot it", retryable=False)
