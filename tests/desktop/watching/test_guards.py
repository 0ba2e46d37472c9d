import json
import subprocess
import sys
from pathlib import Path

import pytest

from desktop.watching.guards import FolderBusy, FolderLock, OutputOverlapsSource, check_output_place


@pytest.mark.parametrize("out", ["source", "source/out", "source/deep/er", ".", "same"])
def test_an_output_that_would_be_taken_for_a_source_is_refused(tmp_path: Path, out: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "same").symlink_to(source)

    with pytest.raises(OutputOverlapsSource):
        check_output_place(source, tmp_path / out, ())


def test_neighbours_and_excluded_folders_are_allowed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()

    check_output_place(source, tmp_path / "source-out", ())
    check_output_place(source, source / "out/jpeg", ["out"])
    with pytest.raises(OutputOverlapsSource):
        check_output_place(source, source / "output", ["out"])


def test_a_lock_of_a_dead_process_holds_nobody(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from desktop.watching.guards import FolderLock;"
        f"FolderLock(Path({str(tmp_path)!r}), 'abc').__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    [left] = tmp_path.glob("*.json")
    assert json.loads(left.read_text())["pid"] > 0

    with FolderLock(tmp_path, "abc"), FolderLock(tmp_path, "another"), pytest.raises(FolderBusy):
        FolderLock(tmp_path, "abc").__enter__()
