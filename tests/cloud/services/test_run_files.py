"""Files of runs on a worker's disk."""

import os
from pathlib import Path

from cloud.repositories.database import Database
from cloud.services.run_files import RunFiles
from shared.engines.base import Ticket
from tests.cloud.services.desk import Desk


def _run(folder: Path, run_id: str, *, old: bool = True) -> Path:
    path = folder / run_id
    path.mkdir(parents=True)
    (path / "0.png").write_bytes(b"x")
    if old:
        os.utime(path, (0, 0))
    return path


async def test_runs_of_the_dead_go_and_those_of_live_jobs_stay(database: Database, tmp_path: Path) -> None:
    desk = Desk(database)
    [job_id] = await desk.jobs(await desk.account())
    claim = await desk.claim()
    assert claim.ref.job_id == job_id
    await desk.attempts.store_ticket(
        claim.ref, Ticket(engine="comfy", run_id="live", job_id=job_id, attempt=1)
    )
    files = RunFiles(database=database, folder=tmp_path)
    assert await files.sweep() == 0  # no engine was ever here

    left = [_run(tmp_path / "builtin" / "runs", "left"), _run(tmp_path / "comfy-1", "left")]
    kept = [
        _run(tmp_path / "comfy-1", "live"),
        _run(tmp_path / "comfy-2", "young", old=False),
        _run(tmp_path / "builtin" / "runs", "live"),
    ]

    assert await files.sweep() == 2
    assert [path.exists() for path in (*left, *kept)] == [False, False, True, True, True]
