"""An attempt that is over, in whatever way, changes nothing any more."""

import pytest

from cloud.errors import Fenced
from cloud.repositories.attempt import AttemptRef
from cloud.repositories.database import Database
from shared.jobs.events import Completed
from shared.jobs.state import JobState
from tests.cloud.services.desk import PICTURE, Desk


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def test_attempt_that_has_ended_ends_only_once(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    ref = (await desk.claim()).ref
    await desk.attempts.begin_saving(ref)
    await desk.attempts.complete(ref, [PICTURE])
    for again in (
        desk.attempts.complete(ref, [PICTURE]),
        desk.attempts.fail(ref, code="x", message="x", retryable=True),
        desk.attempts.cancelled(ref),
        desk.attempts.release(ref, reason="x"),
        desk.attempts.begin_saving(ref),
    ):
        with pytest.raises(Fenced):
            await again
    assert (await desk.job(account, job_id)).state is JobState.COMPLETED
    assert [type(event) for event in await desk.events(account)] == [Completed]


async def test_zombie_leaves_no_outputs(desk: Desk) -> None:
    account = await desk.account()
    [job_id] = await desk.jobs(account)
    zombie = (await desk.claim("w1")).ref
    desk.let_leases_run_out()
    await desk.reaping.reap()
    live = (await desk.claim("w2")).ref
    with pytest.raises(Fenced):
        await desk.attempts.complete(zombie, [PICTURE])
    assert (await desk.job(account, job_id)).outputs == ()
    await desk.attempts.begin_saving(live)
    await desk.attempts.complete(live, [PICTURE])
    job = await desk.job(account, job_id)
    assert (job.outputs, live) == ((PICTURE,), AttemptRef(job_id, 2))
