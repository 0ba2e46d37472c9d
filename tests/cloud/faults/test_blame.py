"""A worker's death is blamed on a job only where no other can be to blame."""

from cloud.repositories.database import Database
from shared.jobs.state import JobState
from tests.cloud.services.desk import Desk


async def test_ambiguous_death_is_nobodys_fault(database: Database) -> None:
    desk = Desk(database)
    account = await desk.account()
    first, second = await desk.jobs(account, 2)
    for _ in range(2):
        await desk.attempts.mark_running((await desk.claim("w0")).ref, engine="builtin")
    desk.let_leases_run_out()
    assert await desk.reaping.reap() == 2

    for worker, state in (("w1", JobState.QUEUED), ("w2", JobState.QUEUED), ("w3", JobState.FAILED)):
        claim = await desk.claim(worker)
        assert (claim.ref.job_id, claim.alone) == (first, True)
        await desk.attempts.mark_running(claim.ref, engine="builtin")
        desk.let_leases_run_out()
        assert await desk.reaping.reap() == 1
        assert (await desk.job(account, first)).state is state
    assert (await desk.job(account, first)).failure_code == "poison"
    assert (await desk.job(account, second)).state is JobState.QUEUED
