"""The cluster with its artifacts in S3: straight to the store and back, through its failures and ours."""

import io
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from PIL import Image

from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.state import JobState
from shared.sdk.operations import Download
from tests.journeys.cluster import PHOTO, Cluster, open_cluster
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.s3_server import KEY_ID, SECRET, S3Server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, s3: S3Server
) -> Iterator[Cluster]:
    redis = RedisServer()
    with open_cluster(
        tmp_path_factory.mktemp("cluster"),
        postgres_server,
        redis,
        LEASE_S="3",
        REAP_EVERY_S="1",
        STORAGE_URL=s3.url(f"test/{new_id()}"),
        S3_ACCESS_KEY_ID=KEY_ID,
        S3_SECRET_ACCESS_KEY=SECRET,
    ) as cluster:
        yield cluster
    redis.close()


@pytest.fixture(autouse=True)
def _well_behaved(s3: S3Server) -> None:
    s3.behave()


def _photo(folder: Path, number: int, *, width: int = 300) -> Path:
    """No two are the same. Wide ones are noisy, and therefore large files."""
    path = folder / f"photo-{number}.png"
    image = Image.effect_noise((width, width), 90) if width > 300 else Image.new("L", (width, width), number)
    image.convert("RGB").save(path)
    return path


def _is_whole(cluster: Cluster) -> bool:
    """Whatever is ready has its bytes."""
    return cluster.processes.run("artifacts", "audit").endswith(" 0 missing, 0 strays")


def test_large_photograph_goes_straight_to_the_store_and_its_picture_comes_from_there(
    cluster: Cluster, s3: S3Server, tmp_path: Path
) -> None:
    cluster.processes.worker()
    photo = _photo(tmp_path, 0, width=1200)
    before = s3.counts().get("PUT", 0)
    cluster.client.upload_artifact(photo, digest_file(photo))
    assert s3.counts()["PUT"] == before + 1

    job = cluster.end_of(cluster.submit(photo))
    assert job.state is JobState.COMPLETED, job.failure
    [output] = job.outputs
    answer = httpx.get(output.download.url)
    assert answer.headers["Location"].startswith(s3.endpoint)
    sink = io.BytesIO()
    cluster.client.download(Download(output.download, output.digest, output.name), sink)
    with Image.open(sink) as picture:
        picture.load()
        assert picture.size == (1200, 1200)
    recipe = cluster.client.get_recipe(job.id)
    assert output.recipe_url.endswith(f"/jobs/{job.id}/outputs/0/recipe")
    assert (recipe.output.digest, recipe.engine) == (output.digest, "builtin")
    assert (recipe.engine_version, recipe.server_class) == (version("safelight"), "builtin")
    assert _is_whole(cluster)


def test_worker_killed_while_it_stores_leaves_no_broken_link(cluster: Cluster, tmp_path: Path) -> None:
    for worker in cluster.processes.workers():
        worker.terminate()
        worker.wait()
    dying = cluster.processes.worker(failpoint="blob.sent")
    job_id = cluster.submit(_photo(tmp_path, 9))
    assert dying.wait(60) < 0
    assert cluster.client.get_job(job_id).outputs == []
    cluster.processes.worker()

    job = cluster.end_of(job_id)
    assert (job.state, len(job.outputs)) == (JobState.COMPLETED, 1), job.failure
    assert _is_whole(cluster)


def test_store_that_is_away_for_a_while_fails_nothing(cluster: Cluster, s3: S3Server, tmp_path: Path) -> None:
    if not cluster.processes.workers():
        cluster.processes.worker()
    photos = [_photo(tmp_path, number) for number in (201, 202, 203)]
    for photo in photos:
        cluster.client.upload_artifact(photo, digest_file(photo))
    s3.fail("503", "PUT", times=30)
    jobs = [cluster.end_of(cluster.submit(photo)) for photo in photos]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert _is_whole(cluster)


def test_sweep_killed_with_the_bytes_gone_leaves_no_artifact_without_bytes(
    cluster: Cluster, tmp_path: Path
) -> None:
    photo = _photo(tmp_path, 100)
    digest = digest_file(photo)
    cluster.client.upload_artifact(photo, digest)
    cluster.rows("UPDATE artifacts SET condemned_at = now() - interval '1 day' WHERE digest = $1", digest)

    cluster.processes.killed_at("collect.bytes_deleted", "artifacts", "sweep")

    assert " 0 missing," in cluster.processes.run("artifacts", "audit")
    cluster.rows(
        "UPDATE artifacts SET deleting_at = deleting_at - interval '1 day' WHERE digest = $1", digest
    )
    assert cluster.processes.run("artifacts", "sweep").startswith("1 artifacts")
    assert cluster.rows("SELECT state FROM artifacts WHERE digest = $1", digest) == []
    cluster.client.upload_artifact(photo, digest)  # welcome again
    assert _is_whole(cluster)


def test_the_same_picture_once_more_is_not_sent_again(cluster: Cluster, s3: S3Server) -> None:
    cluster.client.upload_artifact(PHOTO, digest_file(PHOTO))
    before = s3.counts().get("PUT", 0)
    cluster.client.upload_artifact(PHOTO, digest_file(PHOTO))
    assert s3.counts().get("PUT", 0) == before
