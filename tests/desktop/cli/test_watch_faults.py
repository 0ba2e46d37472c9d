"""`safelight watch` where disks are full or away and files may not be read, in a small world of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.desktop.cli.command import Answer, Here, environment
from tests.desktop.watching.bench import png

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worlds of their own are Linux's")
_LIMIT_S = 120


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def _arguments(source: Path) -> list[str]:
    return ["watch", str(source), "--preset", "noir", "--out", str(source.parent / "out"), "--once"]


def _within(world: Sequence[str], data: Path, *arguments: str) -> Answer:
    """Skips where the system lets nobody make such a world."""
    if subprocess.run([*world, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{world[0]} is not allowed here")
    command = [*world, sys.executable, "-m", "desktop", *arguments]
    done = subprocess.run(command, env=environment(data), capture_output=True, timeout=_LIMIT_S, check=False)
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def _limited(script: str, *arguments: str) -> list[str]:
    """Root of a user namespace with its own mounts; then whatever follows."""
    return ["unshare", "-rm", "sh", "-c", f'{script} && exec "$@"', "sh", *arguments]


def _powerless() -> list[str]:
    """Without the powers of root, which may read everything."""
    return [] if os.geteuid() else ["unshare", "-U"]


def test_a_full_disk_keeps_the_output_until_there_is_space(here: Here, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (source / "a.png").write_bytes(png(1, 40))
    tiny = _limited(f"mount -t tmpfs -o size=64k none {out} && head -c 61440 /dev/zero > {out}/rest")

    full = _within(tiny, tmp_path / "data", *_arguments(source))
    assert full.code == 1
    assert "the disk is full" in full.err

    freed = here(tmp_path / "data", *_arguments(source))
    assert freed.code == 0
    assert [path.name for path in out.iterdir()] == ["a.png"]


def test_a_file_that_may_not_be_read_waits_and_stops_nobody(here: Here, source: Path, tmp_path: Path) -> None:
    (source / "good.png").write_bytes(png(1, 40))
    locked = source / "locked.png"
    locked.write_bytes(png(2, 40))
    locked.chmod(0)

    answer = _within(_powerless(), tmp_path / "data", *_arguments(source))
    assert answer.code == 1
    assert "locked.png cannot be read: Permission denied" in answer.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]

    locked.chmod(0o600)
    assert here(tmp_path / "data", *_arguments(source)).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.png", "locked.png"]


def test_an_output_folder_that_may_not_be_written_blocks_the_delivery(
    here: Here, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (source / "a.png").write_bytes(png(1, 40))
    out.chmod(0o500)

    answer = _within(_powerless(), tmp_path / "data", *_arguments(source))
    assert answer.code == 1
    assert "cannot be written" in answer.err

    out.chmod(0o700)
    assert here(tmp_path / "data", *_arguments(source)).code == 0
    assert [path.name for path in out.iterdir()] == ["a.png"]


@pytest.mark.parametrize("empties", [True, False])
def test_a_disk_that_is_unmounted_loses_nothing(
    here: Here, source: Path, tmp_path: Path, empties: bool
) -> None:
    """The empty folder under a mount point is not the source."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "a.png").write_bytes(png(1, 40))
    mounted = _limited(f"mount --bind {disk} {source}")
    assert _within(mounted, tmp_path / "data", *_arguments(source)).code == 0
    (disk / "b.png").write_bytes(png(2, 40))

    if not empties:
        (source / "stranger.png").write_bytes(png(3, 40))
    away = here(tmp_path / "data", *_arguments(source))
    assert away.code == 1
    assert "nothing is forgotten" in away.err

    assert _within(mounted, tmp_path / "data", *_arguments(source)).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    shutil.rmtree(disk)
