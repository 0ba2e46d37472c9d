"""What is kept, what goes, and that no row is ever left without its bytes."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.clients.blob import BlobUnavailable, artifact_key
from cloud.errors import BeingDeleted
from cloud.repositories.collection import ArtifactKey, Leaving
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from shared.files import digest_bytes, staged_file
from shared.ids import new_id
from shared.jobs.state import JobState, is_terminal
from tests.cloud.services.store import Store
from tests.support.s3_server import S3Server
from tests.support.s3_store import open_s3

KEPT = entitlements_of(Plan.FREE).retention
GRACE = timedelta(minutes=31)
DAY = timedelta(days=1)


@pytest.fixture
async def store(database: Database, tmp_path: Path) -> Store:
    store = Store(database, tmp_path)
    await store.open()
    return store


async def _collect_after(store: Store, age: timedelta) -> int:
    """Both rounds: condemned in the first, deleted in the second."""
    store.later(age)
    assert await store.collection.collect() == 0
    store.later(GRACE)
    return await store.collection.collect()


async def _marked(store: Store) -> tuple[Leaving, ...]:
    """As by a process that died right after."""
    store.later(KEPT + DAY)
    await store.collection.collect()
    store.later(GRACE)
    return await store.database.write(
        lambda unit: unit.collection.mark(condemned_for=timedelta(minutes=30), limit=10)
    )


async def test_artifact_is_kept_as_long_as_the_plan_says_and_then_goes(store: Store) -> None:
    digest = await store.artifact()
    assert await _collect_after(store, KEPT - DAY) == 0
    assert await store.is_known(digest)
    assert await _collect_after(store, 2 * DAY) == 1
    assert not await store.is_known(digest)
    assert not await store.has_bytes(digest)


async def test_other_plans_keep_longer(database: Database, tmp_path: Path) -> None:
    studio = Store(database, tmp_path)
    await studio.open(Plan.STUDIO)
    digest = await studio.artifact()
    assert await _collect_after(studio, KEPT + DAY) == 0
    assert await studio.is_known(digest)


async def test_what_a_job_needs_stays_until_the_job_has_ended(store: Store) -> None:
    digest = await store.artifact()
    job_id = await store.job(digest)
    assert await _collect_after(store, KEPT + DAY) == 0
    assert await store.has_bytes(digest)
    await store.database.write(lambda unit: unit.waiting.end(store.account, job_id, JobState.CANCELLED))
    assert await _collect_after(store, KEPT + DAY) == 1


async def test_what_the_last_of_many_jobs_needs_stays(store: Store) -> None:
    """More than are read at once."""
    others = [await store.artifact(f"picture {number}".encode()) for number in range(3)]
    needed = await store.artifact(b"needed")

    def submit(unit: Unit) -> None:
        for _ in range(1050):
            store.add_job(unit, others[0])
        store.add_job(unit, needed)

    await store.database.write(submit)
    assert await _collect_after(store, KEPT + DAY) == 2
    assert [await store.has_bytes(digest) for digest in (*others, needed)] == [True, False, False, True]


async def test_announcing_it_again_saves_a_condemned_artifact(store: Store) -> None:
    digest = await store.artifact()
    store.later(KEPT + DAY)
    await store.collection.collect()
    assert (await store.announce(digest)).condemned_at is None
    store.later(GRACE)
    assert await store.collection.collect() == 0
    assert await store.has_bytes(digest)


async def test_what_was_announced_and_never_came_is_forgotten(store: Store) -> None:
    digest = digest_bytes(b"never")
    await store.announce(digest)
    assert await _collect_after(store, DAY / 2) == 0
    assert await _collect_after(store, DAY) == 1
    assert not await store.is_known(digest)


async def test_upload_is_refused_while_its_bytes_are_being_deleted_and_welcome_after(store: Store) -> None:
    digest = await store.artifact()
    [leaving] = await _marked(store)
    assert leaving.key == ArtifactKey(store.account, digest)
    assert not await store.is_known(digest)
    with pytest.raises(BeingDeleted):
        await store.announce(digest)
    with pytest.raises(BeingDeleted):
        await store.artifact()
    store.later(GRACE)
    assert await store.collection.collect() == 1  # another process finishes what the dead one began
    assert (await store.announce(digest)).state == "wanted"
    assert not await store.has_bytes(digest)


async def test_late_deletion_touches_nothing_that_came_anew(store: Store) -> None:
    digest = await store.artifact()
    [late] = await _marked(store)
    store.later(GRACE)
    await store.collection.collect()
    await store.artifact()

    assert not await store.database.read(lambda unit: unit.collection.still_leaving(late))
    await store.database.write(lambda unit: unit.collection.forget(late))
    assert await store.is_known(digest)
    assert await store.has_bytes(digest)


async def test_mark_and_upload_in_the_same_moment_never_lose_the_bytes(store: Store) -> None:
    """Whichever comes first: the artifact is there with its bytes, or the upload was refused."""
    for number in range(20):
        data = f"picture {number}".encode()
        digest = await store.artifact(data)
        store.later(KEPT + DAY)
        await store.collection.collect()
        store.later(GRACE)

        async def upload(data: bytes = data, digest: str = digest) -> bool:
            try:
                await store.announce(digest, len(data))
                await store.artifact(data)
            except BeingDeleted:
                return False
            return True

        won, _gone = await asyncio.gather(upload(), store.collection.collect())
        assert await store.is_known(digest) == await store.has_bytes(digest) == won


async def test_bytes_without_a_row_go_after_a_day(store: Store) -> None:
    known = await store.artifact(b"known")
    stray = await store.bytes_of(b"stray")
    homeless = await store.bytes_of(b"homeless", account=new_id())
    assert await store.collection.sweep() == 0
    store.later(DAY * 1.1)
    assert await store.collection.sweep() == 2
    assert (await store.has_bytes(known), await store.has_bytes(stray)) == (True, False)
    assert await store.collection.sweep() == 0
    assert not await store.is_known(stray)
    assert len([blob async for blob in store.blobs.stored("artifacts")]) == 1
    assert homeless != known


async def test_stray_that_is_announced_meanwhile_stays(store: Store) -> None:
    stray = await store.bytes_of(b"stray")
    await store.announce(stray, 5)
    strays = [(ArtifactKey(store.account, stray), 5)]
    assert await store.database.write(lambda unit: unit.collection.claim_strays(strays)) == ()
    assert await store.has_bytes(stray)


async def test_files_left_on_their_way_are_cleared(store: Store) -> None:
    with staged_file(store.blobs.staging_folder) as (_file, path):
        assert await store.collection.sweep() == 0
        os.utime(path, (0, 0))
        assert await store.collection.sweep() == 1
        assert not path.exists()


async def test_audit_names_what_is_missing_and_what_is_stray(store: Store) -> None:
    whole = await store.artifact(b"whole")
    missing = await store.artifact(b"missing")
    stray = await store.bytes_of(b"stray")
    await store.blobs.delete(artifact_key(store.account, missing))
    store.later(DAY * 1.1)

    audit = await store.collection.audit()

    assert audit.artifacts == 2
    assert audit.missing == (ArtifactKey(store.account, missing),)
    assert audit.strays == (ArtifactKey(store.account, stray),)
    assert await store.is_known(whole)


async def test_store_that_is_away_loses_nothing(
    database: Database, tmp_path: Path, s3_server: S3Server
) -> None:
    store = Store(database, tmp_path, s3=open_s3(s3_server, tmp_path))
    await store.open()
    digest = await store.artifact()
    store.later(KEPT + DAY)
    await store.collection.collect()
    store.later(GRACE)
    s3_server.fail("503", "DELETE", times=1000)
    with pytest.raises(BlobUnavailable):
        await store.collection.collect()
    s3_server.behave()
    assert await store.has_bytes(digest)
    store.later(GRACE)
    assert await store.collection.collect() == 1
    assert not await store.has_bytes(digest)


async def test_submission_of_a_condemned_artifact_keeps_it(store: Store) -> None:
    digest = await store.artifact()
    store.later(KEPT + DAY)
    await store.collection.collect()
    [found] = await store.database.write(lambda unit: unit.artifacts.for_use(store.account, [digest]))
    assert found.condemned_at is None
    store.later(GRACE)
    assert await store.collection.collect() == 0
    assert await store.has_bytes(digest)


async def test_submission_and_deletion_in_the_same_moment_agree(store: Store) -> None:
    """Either the job finds no artifact, or its artifact stays."""
    for number in range(20):
        digest = await store.artifact(f"picture {number}".encode())
        store.later(KEPT + DAY)
        await store.collection.collect()
        store.later(GRACE)

        def submit(unit: Unit, digest: str = digest) -> bool:
            found = unit.artifacts.for_use(store.account, [digest])
            if found:
                store.add_job(unit, digest)
            return bool(found)

        taken, _gone = await asyncio.gather(store.database.write(submit), store.collection.collect())
        assert await store.has_bytes(digest) == taken


def test_every_state_of_a_job_is_live_or_ended_for_the_collection() -> None:
    """The states that stand in its statement are all that a job can go on from."""
    assert {state for state in JobState if not is_terminal(state)} == {"queued", "processing", "saving"}
