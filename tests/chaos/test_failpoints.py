"""Killed at every place where it matters: each job ends as it should, and everything adds up."""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.box import Box
from tests.chaos.errands import ERRANDS, Scene, photograph
from tests.chaos.places import failpoints
from tests.support.comfy_thread import comfy_thread

# Each needs what one box has not; the test that kills there.
ELSEWHERE = {
    "attempt.timed_out": "tests/cloud/worker/test_servers.py",
    "blob.sent": "tests/cloud/clients/test_blob_s3.py",
    "secrets.resealed": "tests/cloud/services/test_secrets.py",
}
ACTIONS = ["kill", "raise", "sleep=2"] if os.environ.get("SWEEP") else ["kill"]
pytestmark = pytest.mark.timeout(900)
PLACES = sorted(set(failpoints("cloud")) - set(ELSEWHERE))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with comfy_thread() as gpu, comfy_thread() as spare:
        box = Box(tmp_path_factory.mktemp("box"), servers=(gpu.url, spare.url))
        box.call("GET", "/credits")
        box.until_true(lambda: len(box.query("SELECT 1 FROM servers")) == 2)
        yield Scene(box, gpu, spare)
        box.close()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", PLACES)
def test_trouble_there(scene: Scene, place: str, action: str) -> None:
    scene.make_sound()
    scene.aim(place, action)
    deaths = len(scene.box.ends)
    try:
        ERRANDS.get(place, photograph)(scene)
        scene.box.until_hit()
        scene.box.settle()
        scene.box.until_true(lambda: len(scene.box.ends) > deaths or action != "kill")
    finally:
        scene.box.disarm()


def test_there_are_many_such_places() -> None:
    assert len(failpoints("cloud")) >= 40
    assert len(failpoints("desktop")) >= 9
