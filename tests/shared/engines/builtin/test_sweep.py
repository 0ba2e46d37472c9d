import os
import time
from pathlib import Path

from shared.engines.builtin.run_folder import RunFolder
from shared.engines.builtin.sweep import sweep


def _run(state: Path, name: str, *, hours_old: float) -> RunFolder:
    folder = state / "runs" / name
    folder.mkdir(parents=True)
    (folder / "request.json").write_text("{}")
    then = time.time() - hours_old * 3600
    os.utime(folder, (then, then))
    return RunFolder(folder)


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    _run(tmp_path, ".safelight-0123", hours_old=7)
    _run(tmp_path, "forgotten", hours_old=7)
    assert sweep(tmp_path, keep=frozenset()) == 2
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_may_still_be_asked_for_stays(tmp_path: Path) -> None:
    _run(tmp_path, "new", hours_old=1)
    _run(tmp_path, "named", hours_old=7)
    assert sweep(tmp_path, keep={"named"}) == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"new", "named"}


def test_what_a_process_runs_stays(tmp_path: Path) -> None:
    run = _run(tmp_path, "running", hours_old=0)
    lock = run.lock()
    assert lock.acquire()
    then = time.time() - 7 * 3600
    os.utime(run.path, (then, then))
    assert sweep(tmp_path, keep=frozenset()) == 0
    lock.release()


def test_a_new_machine_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(tmp_path, keep=frozenset()) == 0
