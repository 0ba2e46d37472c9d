"""Killed at every place where it matters: each job ends as it should, and everything adds up."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.chaos.box import Box
from tests.chaos.errands import (
    ERRANDS,
    Scene,
    photograph,
    sent_with_its_file,
    sent_with_its_file_once,
)
from tests.chaos.places import failpoints
from tests.chaos.rows import PostgresRows
from tests.support.comfy_thread import comfy_thread
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

# Each needs what one box has not; the test that kills there.
ELSEWHERE = {
    "attempt.timed_out": "tests/cloud/worker/test_servers.py",
    "blob.sent": "tests/cloud/clients/test_blob_s3.py",
    "secrets.resealed": "tests/cloud/services/test_secrets.py",
}
# Only a process that is alone gets there.
ALONE = {"reap.expired"}
ACTIONS = ["kill", "raise", "sleep=2"] if os.environ.get("SWEEP") else ["kill"]
DATABASES = ["sqlite", "postgres"] if os.environ.get("SWEEP") else ["sqlite"]
# Between a request with a job and its file, and the answer to it.
WITH_FILES = [
    "artifact.announced",
    "blob.flushed",
    "blob.named",
    "artifact.stored",
    "submit.written",
    "submit.committed",
]
SENDING = [sent_with_its_file, *([sent_with_its_file_once] if os.environ.get("SWEEP") else [])]
_QUICK = {"LEASE_S": "10", "REAP_EVERY_S": "0.5", "COLLECT_EVERY_S": "2"}
pytestmark = pytest.mark.timeout(900)
PLACES = sorted(set(failpoints("cloud")) - set(ELSEWHERE))


@pytest.fixture(scope="module", params=DATABASES)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with comfy_thread() as gpu, comfy_thread() as spare, contextlib.ExitStack() as stack:
        folder, servers = tmp_path_factory.mktemp("box"), (gpu.url, spare.url)
        if request.param == "sqlite":
            box = Box(folder, servers=servers)
        else:
            box = _in_a_cluster(folder, servers, request.getfixturevalue("postgres_server"), stack)
        stack.callback(box.close)
        box.call("GET", "/credits")
        box.until_true(lambda: len(box.query("SELECT 1 FROM servers")) == 2)
        yield Scene(box, gpu, spare, is_alone=request.param == "sqlite")


def _in_a_cluster(
    folder: Path, servers: Sequence[str], postgres: PostgresServer, stack: contextlib.ExitStack
) -> Box:
    """Of one process, whose leases run out when it has died."""
    redis = RedisServer()
    stack.callback(redis.close)
    url = postgres.new_database()
    secret = "of the tests, and long enough to be one"
    names = {"DATABASE_URL": url, "REDIS_URL": redis.url, "SECRET_KEY": secret}
    return Box(folder, servers=servers, rows=PostgresRows(url), **names, **_QUICK)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", PLACES)
def test_trouble_there(scene: Scene, place: str, action: str) -> None:
    if place in ALONE and not scene.is_alone:
        pytest.skip("not in a cluster")
    _meet(scene, place, action, ERRANDS.get(place, photograph))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", WITH_FILES)
@pytest.mark.parametrize("errand", SENDING)
def test_trouble_there_with_a_job_that_brings_its_file(
    scene: Scene, errand: Callable[[Scene], None], place: str, action: str
) -> None:
    _meet(scene, place, action, errand)


def _meet(scene: Scene, place: str, action: str, errand: Callable[[Scene], None]) -> None:
    scene.make_sound()
    scene.aim(place, action)
    deaths = len(scene.box.ends)
    try:
        errand(scene)
        scene.box.until_hit()
        scene.box.settle()
        scene.box.until_true(lambda: len(scene.box.ends) > deaths or action != "kill")
    finally:
        scene.box.disarm()


def test_there_are_many_such_places() -> None:
    assert len(failpoints("cloud")) >= 40
    assert len(failpoints("desktop")) >= 9
